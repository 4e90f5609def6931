// The program of a worker: it creates an instance, then runs the tasks that it receives.
import { Instance } from "./instance.js";

/**
 * Return the function that answers a message to a worker.
 *
 * @param {(answer: object) => void} post sends an answer
 */
export function answering(post) {
  let instance;
  return ({ module, memory, base, kernel, calls }) => {
    try {
      if (module) instance = new Instance(module, memory, base);
      else instance.runTask(kernel, calls);
      post({});
    } catch (error) {
      post({ error: String(error) });
    }
  };
}

// In a Node worker this global does not exist; worker_node.js listens there.
if (typeof self !== "undefined" && typeof self.postMessage === "function") {
  const answer = answering((message) => self.postMessage(message));
  self.addEventListener("message", (event) => answer(event.data));
}
