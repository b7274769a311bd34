() => {
  // Names for what gradio draws without any, or with a wrong one, whenever it draws it anew.
  const after = (where, words) => [...document.querySelectorAll(where)].forEach((one, index) => {
    if (one.alt !== words[index]) one.alt = words[index];
  });
  function name() {
    after("#result img", ["Before: the picture as given", "After: the picture as the model makes it"]);
    // An empty output says so in a label that an element without a role cannot have.
    for (const one of document.querySelectorAll(".unpadded_box[aria-label]:not([role])")) one.setAttribute("role", "img");
    for (const button of document.querySelectorAll(".gradio-container button")) {
      const [label, text] = [button.getAttribute("aria-label"), button.innerText.trim()];
      // What is read out has to be what is seen.
      // gradio puts a button into this button: the outer one alone is left to be pressed.
      const inner = button.querySelector("button:not([inert])");
      if (inner) {
        inner.inert = true;
        button.addEventListener("click", () => inner.querySelector("input").click());
      }
      if (label === "common.upload") for (const one of ["aria-label", "title"]) button.setAttribute(one, "Add files");
      if (label && text && !label.includes(text)) button.removeAttribute("aria-label");
      if (!label && !text && !button.querySelector("[alt]:not([alt=''])")) button.setAttribute("aria-label", "Open");
    }
  }
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
}
