// The frame: who looks, at which view, in which light.
import { html, render, useEffect, useState } from "./ui.js";
import { ask } from "./server.js";
import { usePlace } from "./routes.js";
import { ProblemLine } from "./words.js";
import { Campaigns } from "./campaigns.js";
import { Campaign } from "./campaign.js";
import { Candidates } from "./candidates.js";
import { Card } from "./card.js";
import { Scatter } from "./scatter.js";
import { Create } from "./create.js";
import { SignIn } from "./signin.js";

const VIEWS = { campaigns: Campaigns, campaign: Campaign, candidates: Candidates, candidate: Card, scatter: Scatter, new: Create };
const LINKS = [["campaigns", "Campaigns"], ["candidates", "Candidates"], ["scatter", "Scatter"], ["new", "New"]];
const BELONGS = { campaign: "campaigns", candidate: "candidates" };
const THEMES = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" };

function useTheme() {
  const [theme, set] = useState(localStorage.getItem("theme") || "auto");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
    window.dispatchEvent(new Event("theme"));
  }, [theme]);
  const names = Object.keys(THEMES);
  return [theme, () => set(names[(names.indexOf(theme) + 1) % names.length])];
}

function useContext() {
  const [state, set] = useState({ context: null, signedOut: false, problem: null });
  const load = () =>
    ask("GET", "/page/context")
      .then((context) => set({ context, signedOut: false, problem: null }))
      .catch((problem) => set({ context: null, signedOut: problem.status === 401, problem }));
  useEffect(() => {
    const out = () => set({ context: null, signedOut: true, problem: null });
    window.addEventListener("signed-out", out);
    load();
    return () => window.removeEventListener("signed-out", out);
  }, []);
  return { ...state, load };
}

function Top({ place, context, leave }) {
  const [theme, turn] = useTheme();
  const here = BELONGS[place.view] || place.view;
  return html`<header class="top">
    <a class="skip" href="#main" onClick=${toMain}>To the content</a>
    <a class="brand" href="#/campaigns"><img src="/page/styles/icon.svg" alt="" />Sluice</a>
    <nav aria-label="Views">
      ${context && LINKS.map(([view, title]) => html`<a href="#/${view}" aria-current=${here === view ? "page" : null}>${title}</a>`)}
    </nav>
    <button onClick=${turn} title="Light, dark, or as the system has it">${THEMES[theme]}</button>
    ${context && context.owner !== "loopback" && html`<button onClick=${leave}>Sign out</button>`}
  </header>`;
}

function toMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function App() {
  const place = usePlace();
  const { context, signedOut, problem, load } = useContext();
  const View = VIEWS[place.view];
  const leave = () => ask("DELETE", "/page/session").then(load);
  return html`<${Top} place=${place} context=${context} leave=${leave} />
    <main id="main" tabindex="-1">
      ${signedOut && html`<${SignIn} entered=${load} />`}
      ${!signedOut && html`<${ProblemLine} problem=${problem} />`}
      ${context && View && html`<${View} key=${`${place.view}/${place.argument}`} place=${place} context=${context} />`}
      ${context && !View && html`<p class="problem">There is no view ${place.view}.</p>`}
    </main>`;
}

const root = document.getElementById("page");
root.replaceChildren();
render(html`<${App} />`, root);
