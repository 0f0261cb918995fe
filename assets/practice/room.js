// What the mock interview and the cards have in common.
(() => {
  const { progress } = window.proveIt;

  function element(name, properties = {}, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  window.proveIt.room = {
    element, backup,
    html: text => element('template', { innerHTML: text }).content, // the book's own, never what was typed
    button: (text, act, properties) => element('button', { type: 'button', onclick: act, ...properties }, text),
    count: (n, what) => `${n} ${what}${n === 1 ? '' : 's'}`,
    shuffled: list => list.map(item => [Math.random(), item]).sort((a, b) => a[0] - b[0]).map(([, item]) => item),
    /** While something is asked, the page shows nothing else. */
    practising: asked => document.body.classList.toggle('practising', Boolean(asked)),
    UNKEPT: 'Your browser does not keep this: its storage is full or blocked. Export it before you close this page.',
  };

  /** Export and Import, each a button. joined() is called when a file has brought something. */
  function backup(joined = () => {}) {
    const box = element('div', { className: 'practice-backup', innerHTML: `
      <p>Export saves all that the book keeps in this browser as a file: interviews, cards, quizzes and your code. Import joins such
      a file with what is here.</p>
      <p><button type="button">Export</button> <button type="button">Import</button> <input type="file" accept=".json" hidden></p>
      <p role="status"></p>` });
    const [save, open] = box.querySelectorAll('button'), input = box.querySelector('input'), said = box.querySelector('[role]');

    save.onclick = () => {
      const href = URL.createObjectURL(new Blob([progress.save()], { type: 'application/json' }));
      element('a', { href, download: `prove-it-${new Date().toISOString().slice(0, 10)}.json` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000); // when the browser has long read it
      said.textContent = 'Exported.';
    };
    open.onclick = () => input.click();
    input.onchange = async () => {
      const file = input.files[0];
      input.value = ''; // so that the same file can be chosen once more
      if (!file) return;
      try {
        const { fresh, safe } = await progress.join(await file.text());
        said.textContent = (fresh ? `Imported: ${fresh} ${fresh === 1 ? 'entry was' : 'entries were'} new.` : 'Nothing in this file is new.')
          + (safe ? '' : ' Your browser does not keep it: its storage is full or blocked.');
        joined();
      } catch (error) {
        said.textContent = `${error.message.replace(/\.$/, '')}. Nothing was changed.`;
      }
    };
    return box;
  }
})();
