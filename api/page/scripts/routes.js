// Where the page stands: #/view/argument?query, so that every view has an address.
import { useEffect, useState } from "./ui.js";
import { address } from "./server.js";

export function placeOf(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view = "", argument] = path.split("/");
  return { view: view || "campaigns", argument, query: Object.fromEntries(new URLSearchParams(query)) };
}

export const link = (path, query) => `#/${address(path, query)}`;

export function go(path, query, replace = false) {
  if (replace) window.location.replace(link(path, query));
  else window.location.hash = link(path, query);
}

export function usePlace() {
  const [place, set] = useState(placeOf(window.location.hash));
  useEffect(() => {
    const move = () => set(placeOf(window.location.hash));
    window.addEventListener("hashchange", move);
    return () => window.removeEventListener("hashchange", move);
  }, []);
  return place;
}
