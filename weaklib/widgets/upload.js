// Upload: transfer (one file to the kernel, no page), view (page), glue (one transfer between all views and Python).
//
// upload.py tells the messages. The kernel answers each piece when it is on its disk, so what is shown has arrived.

const PIECE = 2 ** 20; // bytes of a message; from 10 MiB on the server closes the connection
const UNDER_WAY = 4; // pieces at most that are not answered yet
const SILENCE = 10_000; // ms, after which the kernel is asked

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

// ---------------------------------------------------------------------------------------------------------- transfer

/** One file on its way; `send(content, buffers)` hands a message over, `answer` takes what comes back. */
class Transfer {
  constructor(file, page, send) {
    const id = Math.random().toString(36).slice(2);
    Object.assign(this, { id, file, page, send, sent: 0, received: -Infinity, stopped: false, heard: () => {} });
    this.asked = { question: 0, sent: 0 };
  }

  /** Nothing is sent before the kernel has agreed, nor while enough is under way. */
  async run() {
    const { id, file, page, send } = this;
    send({ kind: "begin", id, page, name: file.name, size: file.size });
    while (this.received < file.size) {
      const offset = this.sent;
      if (offset === file.size || offset - this.received >= UNDER_WAY * PIECE) {
        await new Promise((heard) => (this.heard = heard));
        continue;
      }
      const piece = await file.slice(offset, offset + PIECE).arrayBuffer();
      if (this.stopped) return;
      if (offset !== this.sent) continue; // it has to go back
      send({ kind: "piece", id, offset }, [piece]);
      this.sent += piece.byteLength;
    }
  }

  answer(received, question) {
    this.received = Math.max(this.received, received);
    if (question === this.asked.question && received < this.asked.sent) this.sent = this.received;
    this.heard();
  }

  cancel(unreadable = false) {
    this.stopped = true;
    this.send({ kind: "cancel", id: this.id, unreadable });
  }

  /** The kernel was silent for long: it runs a cell, or something was lost, and then it goes on from there. */
  ask() {
    if (this.stopped) return this.cancel();
    this.asked = { question: this.asked.question + 1, sent: this.sent };
    this.send({ kind: "check", id: this.id, question: this.asked.question });
  }
}

// -------------------------------------------------------------------------------------------------------------- view

/** Make an element; attributes that begin with "on" are listeners. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Build the page's part into `el`; returns what to call when it goes. */
function view(store, el) {
  const limit = make("small");
  const input = make("input", {
    type: "file", accept: "audio/*,video/*,.caf,.opus,.mka",
    onchange() {
      const chosen = [...input.files];
      input.value = ""; // or the same file could not be chosen again
      store.choose(chosen);
    },
  });
  const zone = make("label", {}, make("span", {}, "Choose a file"), " ", limit, input);
  const bar = make("progress", { "aria-label": "Upload" });
  const amount = make("span", { class: "amount" });
  const cancel = make("button", { type: "button", onclick: () => store.cancel() }, "Cancel");
  const running = make("div", { class: "running" }, bar, amount, cancel);
  const status = make("div", { class: "status", role: "status" });
  const over = (event) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.toggle("over", event.type === "dragover");
  };
  const root = make(
    "div",
    {
      class: "weaklib-upload", role: "group", "aria-label": "Upload of a file", ondragover: over, ondragleave: over,
      ondrop: (event) => (over(event), store.choose([...event.dataTransfer.files])),
      onkeydown: (event) => event.ctrlKey || event.metaKey || event.altKey || event.stopPropagation(),
      "data-lm-suppress-shortcuts": "true", // JupyterLab would take space and Enter for its own
    },
    zone, running, status,
  );
  el.append(root);

  function refresh() {
    const { now, there, silent, problem } = store;
    limit.textContent = `or drop it here (audio, up to ${store.limit} MB)`;
    if (!now && running.contains(document.activeElement)) input.focus(); // or the keyboard's place were lost
    running.hidden = !now;
    if (now) {
      const received = Math.max(0, now.received);
      bar.value = received / now.file.size;
      amount.textContent = `${megabytes(received)} of ${megabytes(now.file.size)} MB`;
    }
    const doing = now && (now.stopped ? `Cancelling ${now.file.name}.` : `Uploading ${now.file.name}.`);
    const waiting = "The kernel does not answer: it is busy, or it was restarted and the cell has to run again.";
    const arrived = there.name && `${there.name} is here, ${megabytes(there.size)} MB.`;
    const said = [problem, ...(now ? [doing, silent && waiting] : [arrived])].filter(Boolean).join(" ");
    if (status.textContent !== said) status.textContent = said; // or a reader would hear it again
  }
  store.views.add(refresh);
  refresh();
  return () => {
    store.views.delete(refresh);
    root.remove();
  };
}

// -------------------------------------------------------------------------------------------------------------- glue

/** What anywidget calls once for every widget: all its views show the same upload. */
export default function upload() {
  let store;
  function initialize({ model }) {
    const send = (content, buffers = []) => {
      try {
        model.send(content, undefined, buffers);
      } catch {
        // There is no kernel any more; that nothing comes back will tell.
      }
    };
    const page = Date.now();
    const held = () => ({ name: model.get("name"), size: model.get("size") });
    let timer;
    const changed = () => store.views.forEach((refresh) => refresh());
    const listen = () => {
      clearTimeout(timer);
      store.silent = false;
      timer = setTimeout(silence, SILENCE);
    };
    const silence = () => {
      store.now.ask();
      timer = setTimeout(silence, SILENCE);
      store.silent = true;
      changed();
    };
    const end = (problem) => {
      clearTimeout(timer);
      store.now.stopped = true;
      Object.assign(store, { now: null, problem });
      changed();
    };
    store = {
      views: new Set(), now: null, there: held(), silent: false, problem: model.get("error"),
      get limit() {
        return model.get("limit_mb");
      },
      /** @param {File[]} files */
      choose(files) {
        const [file] = files;
        if (!file) return;
        if (files.length > 1) store.problem = "These are several files; choose one.";
        else if (!file.size) store.problem = `${file.name} is empty; choose a file with sound in it.`;
        else if (file.size > 1e6 * store.limit) {
          store.problem = `${file.name} is larger than ${store.limit} MB; choose a smaller file, or a part of it.`;
        } else {
          if (store.now) store.now.stopped = true; // the kernel drops it when the next one begins
          const next = (store.now = new Transfer(file, page, send));
          store.problem = "";
          listen();
          next.run().catch(() => next.stopped || next.cancel(true)); // the disk is gone, or the file has changed
        }
        changed();
      },
      cancel() {
        store.now?.cancel();
        changed();
      },
    };
    const answer = ({ id, received, question, name, error }) => {
      if (id !== store.now?.id) return; // of an upload that has ended here
      listen();
      if (error) return end(error);
      store.now.answer(received, question);
      if (name === undefined) return changed();
      store.there = { name, size: received };
      end("");
    };
    const listeners = {
      "msg:custom": answer,
      "change:name": () => ((store.there = held()), changed()),
      "change:size": () => ((store.there = held()), changed()),
      "change:error": () => ((store.problem = model.get("error")), changed()),
      "change:limit_mb": changed,
    };
    for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
    send({ kind: "open", page }); // what another page was sending has ended with it
    return () => {
      clearTimeout(timer);
      if (store.now) store.now.stopped = true;
      for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
    };
  }
  return { initialize, render: ({ el }) => view(store, el) };
}
