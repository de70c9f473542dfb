// The connection to the bot: requests with their replies, news, and a socket that comes back by itself.

const FIRST_PAUSE = 500; // ms before the next try to connect, doubled each time
const LONGEST_PAUSE = 15000;
const ANSWER_WITHIN = 20000; // ms: a connection that is silent for longer is taken for dead

class Connection {
  constructor() {
    this.socket = null;
    this.tries = 0;
    this.requests = 0;
    this.timer = 0;
    /** @type {Map<number, {resolve: Function, reject: Function, timer: number}>} */ this.pending = new Map();
  }

  /** `prepare` runs before each try, `hear` gets what nobody asked for, `show` how the connection is. */
  start({ prepare, hear, show }) {
    Object.assign(this, { prepare, hear, show });
    this.connect();
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  async connect() {
    clearTimeout(this.timer);
    this.timer = 0; // no next try is planned: this is it
    this.show("wait", this.tries ? "Reconnecting" : "Connecting");
    try {
      await this.prepare();
    } catch {
      this.#retryLater();
      return;
    }
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    this.socket = socket;
    socket.onmessage = (event) => JSON.parse(event.data).forEach((message) => this.#receive(message));
    socket.onclose = () => this.socket === socket && this.#giveUp();
  }

  /** The network is back, or somebody looks: do not wait any longer. */
  retryNow() {
    if (this.timer) this.connect();
  }

  /** Send a request; the reply to it. Rejects with an error whose message is for people. */
  request(message) {
    if (!this.open) return Promise.reject(new Error("Not connected right now. Send it again when the connection is back."));
    const n = ++this.requests;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.socket?.close(), ANSWER_WITHIN);
      this.pending.set(n, { resolve, reject, timer });
      this.socket.send(JSON.stringify({ n, ...message }));
    });
  }

  #receive(message) {
    if (message.hello) {
      this.tries = 0;
      this.show("on", "Connected");
    }
    const request = this.pending.get(message.n);
    if (!request) {
      this.hear(message);
      return;
    }
    clearTimeout(request.timer);
    if (message.later) return; // the engine has to answer, too
    this.pending.delete(message.n);
    if (message.error) request.reject(new Error(message.error));
    else request.resolve(message);
  }

  #giveUp() {
    this.socket = null;
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new Error("The connection broke before the answer came. Check whether it arrived before you send it again."));
    }
    this.pending.clear();
    this.#retryLater();
  }

  #retryLater() {
    const pause = Math.min(FIRST_PAUSE * 2 ** this.tries, LONGEST_PAUSE) * (0.75 + Math.random() / 2);
    this.tries += 1;
    this.show("off", "Offline, trying again");
    this.timer = setTimeout(() => this.connect(), pause);
  }
}

export const connection = new Connection();
