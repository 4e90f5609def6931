// Crews, which run the tasks of a kernel on the calling thread or on workers.
import { FlashWasmError } from "./errors.js";
import { Instance } from "./instance.js";

// Milliseconds of work after which the calling thread lets the page handle its events.
const UNTIL_PAUSE = 100;

/** Let the page handle its events, then continue. */
function pause() {
  if (globalThis.scheduler?.yield) return scheduler.yield();
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** A crew of one: an instance on the calling thread. */
export class OwnThread {
  constructor(module, memory, base) {
    this.threads = 1;
    this.instance = new Instance(module, memory, base);
  }

  /** Run tasks in order. Each task is a list of calls. */
  async run(kernel, tasks) {
    let begin = performance.now();
    for (const calls of tasks) {
      this.instance.runTask(kernel, calls);
      if (performance.now() - begin > UNTIL_PAUSE) {
        await pause();
        begin = performance.now();
      }
    }
  }

  close() {
    this.instance = undefined;
  }
}

/** Workers, each with an instance. The calling thread only distributes tasks, so the page stays responsive. */
export class WorkerCrew {
  /**
   * @param {object[]} workers started workers: { post(message), listen(onMessage, onError), terminate() }
   */
  constructor(workers) {
    this.threads = workers.length;
    this.workers = workers;
  }

  /** Start a worker for each address of an instance's memory. */
  static async start(module, memory, bases, startWorker) {
    const crew = new WorkerCrew(bases.map(startWorker));
    try {
      await Promise.all(crew.workers.map((worker, i) => ask(worker, { module, memory, base: bases[i] })));
    } catch (error) {
      crew.close();
      throw error;
    }
    return crew;
  }

  /** Run tasks in any order. Each task is a list of calls. */
  async run(kernel, tasks) {
    const left = tasks[Symbol.iterator]();
    let failed = false;
    const work = async (worker) => {
      for (let next = left.next(); !next.done && !failed; next = left.next()) {
        try {
          await ask(worker, { kernel, calls: next.value });
        } catch (error) {
          // The other workers finish their current tasks. Memory must not be reused before that.
          failed = true;
          return error;
        }
      }
      return undefined;
    };
    const errors = await Promise.all(this.workers.map(work));
    const first = errors.find((error) => error !== undefined);
    if (first) throw first;
  }

  close() {
    for (const worker of this.workers) worker.terminate();
    this.workers = [];
  }
}

/** Send a worker a message and wait for its answer. */
function ask(worker, message) {
  return new Promise((resolve, reject) => {
    worker.listen(
      (answer) => (answer.error ? reject(new FlashWasmError(`in a worker: ${answer.error}`)) : resolve()),
      (error) => reject(new FlashWasmError(`a worker did not start or ended: ${error?.message ?? error}`)),
    );
    try {
      worker.post(message);
    } catch (error) {
      reject(new FlashWasmError(`a worker cannot be sent its memory: ${error.message}`, { cause: error }));
    }
  });
}
