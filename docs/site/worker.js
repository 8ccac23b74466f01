// A page that is opened from the disk may start no worker, and the search of the theme runs in one. A hidden frame of the same
// page stands in for it: messages go in and out as events.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      const out = data => this.dispatchEvent(new MessageEvent("message", { data }));
      frame.hidden = true;
      frame.srcdoc = `<script src="${new URL(url, location.href)}" defer><\/script>`;
      this.ready = new Promise(done => frame.addEventListener("load", () => done(frame.contentWindow)));
      document.body.append(frame);
      frame.contentWindow.postMessage = out;
      this.ready.then(inner => { inner.postMessage = out; });
    }

    postMessage(data) {
      this.ready.then(inner => inner.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {}
  };
}
