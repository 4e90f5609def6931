"use strict";

const settings = {};
module.exports = {
  settings,
  setThreadsCount: (count) => { settings.threads = count; },
  setWasmPaths: (path) => { settings.path = path; },
};
