"""Options for a run of pytest inside a test's own process."""

# The plugin faulthandler installs a handler of SIGSEGV anew at the end of each run. It would take
# the place of wasmtime's handler, which turns an access out of bounds into a trap: the next trap of
# any later test would then end the process.
IN_THIS_PROCESS = ("-p", "no:faulthandler")
