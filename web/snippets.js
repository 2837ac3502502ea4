// @ts-check
/** "Use it from": lines to paste, with this gateway's address in them, and a button that copies them. */

/** @param {string} root the gateway's address */
export function fillSnippets(root) {
  for (const code of document.querySelectorAll("pre[data-snippet] code")) {
    code.textContent = (code.textContent ?? "").replaceAll("http://127.0.0.1:8080", root);
  }
  for (const button of document.querySelectorAll("button[data-copies]")) {
    button.addEventListener("click", () => void copy(/** @type {HTMLButtonElement} */ (button)));
  }
}

/** @param {HTMLButtonElement} button */
async function copy(button) {
  const name = button.dataset["copies"];
  const code = document.querySelector(`pre[data-snippet="${name}"] code`);
  try {
    await navigator.clipboard.writeText(code?.textContent ?? "");
    button.textContent = "Copied";
  } catch {
    // Without leave to write the clipboard, the lines are selected, ready for Ctrl+C.
    if (code !== null) getSelection()?.selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => {
    button.textContent = "Copy";
  }, 1500);
}
