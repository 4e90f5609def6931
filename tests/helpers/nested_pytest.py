"""Options for a run of pytest inside a test's own process."""

# At the end of each run, the plugin faulthandler installs its handler of SIGSEGV again. It would
# replace wasmtime's handler, which turns an access out of bounds into a trap. The next trap of
# any later test would then kill the process.
IN_THIS_PROCESS = ("-p", "no:faulthandler")
