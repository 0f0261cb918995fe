/* The search page: asks MiniSearch with every word that is typed, and with the other names that the glossary has for it. */
const STOP = new Set(`a an and are as at be but by can do does for from how i if in is it its my of on or so than that the then there
  to vs was what when where which why will with you your`.split(/\s+/));
const SHOWN = 20;
const [form, status, list] = document.querySelectorAll(".search > :is(form, [role=status], ol)");

/** Is it a glossary entry or a mistake in an exercise? These are short, and would come before what explains the thing. */
const aside = ([address, heading]) => address.includes("#term-") || heading.startsWith("A mistake in ");

const search = new MiniSearch({
  fields: ["heading", "text", "page"],
  processTerm: term => STOP.has(term = term.toLowerCase()) ? null : term,
  searchOptions: { boost: { heading: 2, page: 1.5 }, fuzzy: term => term.length > 4 && 0.2, prefix: term => term.length > 2,
    boostDocument: id => aside(book.sections[id]) ? 0.5 : 1 },
});
search.addAll(book.sections.map(([, heading, text, page], id) => ({ id, heading, text, page })));

const bare = text => ` ${text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim()} `;

/** The other names of the things in the query. */
function otherNames(query) {
  const asked = bare(query);
  return book.names.filter(names => names.some(name => asked.includes(bare(name)) || asked.includes(bare(name + "s"))))
    .flat().filter(name => !asked.includes(bare(name)));
}

/** The sections that answer best, best first, with the words of theirs that matched; an exercise has one, however many mistakes. */
function ask(query) {
  const others = otherNames(query).map(name => ({ queries: [name], combineWith: "AND", fuzzy: false, prefix: false }));
  const seen = new Set();
  return search.search({ combineWith: "OR", queries: [query, ...others] })
    .filter(({ id }) => seen.size < seen.add(book.sections[id][0]).size);
}

/** About 200 letters of the text around the first word that matched, the matches marked. */
function excerpt(text, words) {
  const literally = words.map(word => word.replace(/[$^|+*?.()[\]{}\\]/g, "\\$&"));
  const word = new RegExp(`(?<![\\p{L}\\p{N}])(${literally.join("|")})(?![\\p{L}\\p{N}])`, "giu");
  const first = Math.max(0, text.search(word));
  const start = text.lastIndexOf(". ", first) + 1 || text.lastIndexOf(" ", Math.max(0, first - 90)) + 1;
  const from = first - start < 120 ? start : text.lastIndexOf(" ", first - 60) + 1;
  const cut = text.slice(from, from + 200 < text.length ? text.lastIndexOf(" ", from + 200) : undefined).trim();
  const made = document.createElement("p");
  cut.split(word).forEach((part, i) => {
    if (i % 2) made.append(Object.assign(document.createElement("mark"), { textContent: part }));
    else made.append(part);
  });
  if (from + 200 < text.length) made.append(" …");
  return made;
}

function show() {
  const query = form.q.value.trim();
  const found = query ? ask(query) : [];
  status.textContent = query && `${found.length > SHOWN ? `The best ${SHOWN} of ${found.length}` : found.length || "No"} section${found.length === 1 ? "" : "s"} found.`;
  list.replaceChildren(...found.slice(0, SHOWN).map(({ id, terms }) => {
    const [address, heading, text, page] = book.sections[id];
    const item = document.createElement("li");
    const link = Object.assign(document.createElement("a"), { href: address, textContent: heading });
    item.append(link, excerpt(text, terms));
    if (page !== heading) link.after(Object.assign(document.createElement("small"), { textContent: page }));
    return item;
  }));
}

form.q.value = new URLSearchParams(location.search).get("q") ?? "";
form.q.focus();
form.addEventListener("input", () => {
  history.replaceState(null, "", form.q.value ? `?q=${encodeURIComponent(form.q.value)}` : location.pathname);
  show();
});
form.addEventListener("submit", event => {
  event.preventDefault();
  list.querySelector("a")?.focus();
});
show();
