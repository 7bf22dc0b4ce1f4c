// Coming in with a token.
import { html, useState } from "./ui.js";
import { ask } from "./server.js";
import { ProblemLine } from "./words.js";

export function SignIn({ entered }) {
  const [problem, setProblem] = useState(null);
  const submit = (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get("token");
    ask("POST", "/page/session", { body: { token } }).then(entered, setProblem);
  };
  return html`<form class="sheet signin" onSubmit=${submit}>
    <h1>Sign in</h1>
    <p class="quiet">With a token of <code>sluice token create</code>. It stays in this browser until it is closed.</p>
    <label><span>Token</span><input name="token" type="password" autocomplete="current-password" required autofocus /></label>
    <${ProblemLine} problem=${problem} />
    <p><button class="main">Sign in</button></p>
  </form>`;
}
