// Asking the server, and what a view does while it waits.
import { useCallback, useEffect, useState } from "./ui.js";

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function ask(method, path, { body, type = "application/json", signal, headers = {} } = {}) {
  const sent = body === undefined ? headers : { ...headers, "Content-Type": type };
  const text = body !== undefined && type === "application/json" ? JSON.stringify(body) : body;
  const response = await fetch(path, { method, headers: sent, body: text, signal, credentials: "same-origin" });
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({ detail: `${response.status} ${response.statusText}` }));
  if (response.status === 401) window.dispatchEvent(new Event("signed-out"));
  throw new Problem(response.status, problem.detail);
}

export function address(path, query = {}) {
  const said = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return said.length ? `${path}?${new URLSearchParams(said)}` : path;
}

// The answer to a GET, kept on show while the next one is on its way; asked again every so many milliseconds.
export function useAnswer(path, every = 0) {
  const [state, set] = useState({ path: null, data: null, problem: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!path) return undefined;
    const gone = new AbortController();
    const wait = every && turn >= 0 ? setInterval(look, every) : 0;
    function look() {
      ask("GET", path, { signal: gone.signal })
        .then((data) => set({ path, data, problem: null }))
        .catch((problem) => gone.signal.aborted || set((old) => ({ path, data: old.path === path ? old.data : null, problem })));
    }
    look();
    return () => {
      gone.abort();
      clearInterval(wait);
    };
  }, [path, every, turn]);
  return { ...state, busy: Boolean(path) && state.path !== path, again: useCallback(() => setTurn((old) => old + 1), []) };
}

// A campaign's status, live until it ends.
export function useStatus(id) {
  const [state, set] = useState({ data: null, problem: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stream = new EventSource(`/v1/campaigns/${id}/events`);
    const take = (event) => set({ data: JSON.parse(event.data), problem: null });
    stream.addEventListener("progress", take);
    stream.addEventListener("end", (event) => {
      stream.close();
      take(event);
    });
    stream.onerror = () => {
      if (stream.readyState !== EventSource.CLOSED) return; // it tries again by itself
      ask("GET", `/v1/campaigns/${id}`).then((data) => set({ data, problem: null })).catch((problem) => set({ data: null, problem }));
    };
    return () => stream.close();
  }, [id, turn]);
  return { ...state, again: () => setTurn((old) => old + 1) };
}
