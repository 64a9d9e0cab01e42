// Without a clipboard there is no button: the line can be selected.
all(".command").forEach((box) => {
  if (!navigator.clipboard) return;
  const button = box.appendChild(document.createElement("button"));
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(box.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
});
// Paper cannot be clicked.
addEventListener("beforeprint", () => all("details").forEach((one) => { one.open = true; }));
