// All that the book keeps in this browser, as a file: for the mock interview and for the cards.
(() => {
  const { progress } = window.proveIt;

  /** Export and Import, each a button. joined() is called when a file has brought something. */
  window.proveIt.backup = (joined = () => {}) => {
    const box = Object.assign(document.createElement('div'), { className: 'practice-backup', innerHTML: `
      <p>Export saves all that the book keeps in this browser as a file: interviews, cards, quizzes and your code. Import joins such
      a file with what is here.</p>
      <p><button type="button">Export</button> <button type="button">Import</button> <input type="file" accept=".json" hidden></p>
      <p role="status"></p>` });
    const [save, open] = box.querySelectorAll('button'), input = box.querySelector('input'), said = box.querySelector('[role]');

    save.onclick = () => {
      const href = URL.createObjectURL(new Blob([progress.save()], { type: 'application/json' }));
      Object.assign(document.createElement('a'), { href, download: `prove-it-${new Date().toISOString().slice(0, 10)}.json` }).click();
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
  };
})();
