/* A term's meaning beside it: under the pointer, at the focus, at the first tap. Escape closes it. */
{
  const tip = Object.assign(document.createElement("div"), { className: "term-tip", popover: "manual" });
  tip.setAttribute("aria-hidden", "true"); // a screen reader has it from the link itself
  document.body.append(tip);
  let open, wait;

  const hide = () => {
    clearTimeout(wait);
    open = undefined;
    tip.hidePopover();
  };
  const show = term => {
    clearTimeout(wait);
    open = term;
    tip.textContent = term.getAttribute("aria-description");
    tip.showPopover();
    const { left, top, bottom } = term.getClientRects()[0];
    tip.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${bottom + tip.offsetHeight + 6 < innerHeight ? bottom + 6 : top - tip.offsetHeight - 6}px`;
  };
  const later = () => { // time to move the pointer from the term onto its meaning
    clearTimeout(wait);
    wait = setTimeout(hide, 200);
  };

  for (const term of document.querySelectorAll("a.term")) {
    term.addEventListener("mouseenter", () => show(term));
    term.addEventListener("mouseleave", later);
    term.addEventListener("focus", () => show(term));
    term.addEventListener("blur", hide);
    let touched; // was the tooltip closed when the finger came?
    term.addEventListener("pointerdown", event => touched = event.pointerType === "touch" && open !== term);
    term.addEventListener("click", event => touched && event.preventDefault());
  }
  tip.addEventListener("mouseenter", () => clearTimeout(wait));
  tip.addEventListener("mouseleave", later);
  document.addEventListener("keydown", event => event.key === "Escape" && open && hide());
  document.addEventListener("scroll", () => open && hide(), { passive: true });
  document.addEventListener("pointerdown", event => open && !event.target.closest(".term, .term-tip") && hide());
}
