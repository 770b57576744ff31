// Predicts in this browser: hands drawings to the worker of inference.js and its replies back.

// A network in a worker of its own. `script` is its program and
// `file` an ArrayBuffer that cnn/models/web.py wrote; resolves once the network is loaded, and
// rejects where the browser has no workers or the file is damaged.
async function startNetwork(script, file) {
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const worker = new Worker(address);
  const waiting = new Map();
  let count = 0;

  const ask = (message, transfer) =>
    new Promise((resolve, reject) => {
      waiting.set(++count, { resolve, reject });
      worker.postMessage({ id: count, ...message }, transfer);
    });
  worker.onmessage = ({ data }) => {
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    data.error ? reject(new Error(data.error)) : resolve(data);
  };
  const stop = (reason) => {
    worker.terminate();
    waiting.forEach(({ reject }) => reject(new Error(reason)));
    waiting.clear();
  };
  worker.onerror = ({ message }) => stop(message);

  try {
    const { header } = await ask({ file }, [file]);
    return { header, predict: (strokes) => ask({ strokes }), stop };
  } catch (error) {
    stop();
    throw error;
  } finally {
    URL.revokeObjectURL(address);
  }
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}
