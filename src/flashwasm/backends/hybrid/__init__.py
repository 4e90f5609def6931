"""The backend `hybrid`, which runs each call on the backend that is fastest for such calls."""
