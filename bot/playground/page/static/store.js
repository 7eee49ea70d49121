// Everything that this window's person sees, updated by the server: values by key, and their subscribers.

export class Store {
  #values = new Map();
  #listeners = new Set();
  #source = null;

  get(key, otherwise = null) {
    return this.#values.get(key) ?? otherwise;
  }

  under(prefix) {
    return [...this.#values].filter(([key]) => key.startsWith(prefix)).map(([, value]) => value);
  }

  listen(listener) {
    this.#listeners.add(listener);
  }

  connect(user, { lost }) {
    this.#source?.close();
    const source = new EventSource(`/events?as=${encodeURIComponent(user)}`);
    let fresh = true;
    source.onopen = () => {
      fresh = true;
      lost(false);
    };
    source.onmessage = (event) => {
      this.#take(JSON.parse(event.data), fresh);
      fresh = false;
    };
    source.onerror = () => lost(true);
    this.#source = source;
  }

  #take(news, fresh) {
    if (fresh) this.#values.clear();
    for (const key of news.gone) this.#values.delete(key);
    for (const [key, value] of Object.entries(news.set)) this.#values.set(key, value);
    for (const listener of this.#listeners) listener(news, fresh);
  }
}
