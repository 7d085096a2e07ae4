// A page that is read as a file may start no worker, and the search asks for one: it gets a hidden frame of the page,
// with what a worker has. The theme looks for its name, and takes search/search_index.js where there is no server.
if (location.protocol === "file:") {
  // The receiver gets a copy of its own, as from a worker: an array of another window is no instance of its Array.
  const tell = (world, receiver, message) =>
    receiver.dispatchEvent(new world.MessageEvent("message", { data: world.structuredClone(message) }))

  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.append(this.frame)
      const inside = this.frame.contentWindow
      const load = (address) =>
        new Promise((loaded, failed) => {
          const script = inside.document.createElement("script")
          Object.assign(script, { src: address, onload: loaded, onerror: failed })
          inside.document.body.append(script)
        })
      inside.importScripts = async (...addresses) => {
        for (const address of addresses) await load(address)
      }
      inside.postMessage = (data) => tell(window, this, data)
      this.ready = load(url)
    }

    postMessage(data) {
      const inside = this.frame.contentWindow
      this.ready.then(() => tell(inside, inside, data))
    }

    terminate() {
      this.frame.remove()
    }
  }
}
