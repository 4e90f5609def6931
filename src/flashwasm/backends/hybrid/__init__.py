"""The backend `hybrid`: for each call the backend that was fastest for such calls."""
