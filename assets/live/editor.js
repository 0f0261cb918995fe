// The editor of a live cell: CodeMirror 6, bundled into one file that is fetched when a reader first edits.
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { python } from '@codemirror/lang-python';
import { bracketMatching, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { EditorState } from '@codemirror/state';
import { Decoration, EditorView, drawSelection, keymap } from '@codemirror/view';
import { classHighlighter } from '@lezer/highlight';

// How far each line is indented, so that what is left of one where it wraps hangs below its beginning.
const indents = EditorView.decorations.compute(['doc'], ({ doc }) => Decoration.set(
  [...doc.iterLines()].map((text, index) =>
    Decoration.line({ attributes: { style: `--in: ${text.search(/\S|$/)}` } }).range(doc.line(index + 1).from))));

// {get, set, focus} of an editor in `parent`. onRun: Shift-Enter, Ctrl-Enter. Tab indents; after Escape it leaves.
export function makeEditor(parent, doc, { onRun, onChange, attributes }) {
  const run = () => (onRun(), true);
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc,
      extensions: [
        keymap.of([{ key: 'Shift-Enter', run }, { key: 'Mod-Enter', run }, { key: 'Ctrl-Enter', run }]),
        keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
        history(), drawSelection(), bracketMatching(), indentUnit.of('    '), python(), EditorView.lineWrapping, indents,
        syntaxHighlighting(classHighlighter),
        EditorView.contentAttributes.of({ spellcheck: 'false', autocapitalize: 'off', autocorrect: 'off', ...attributes }),
        EditorView.updateListener.of(update => update.docChanged && onChange()),
      ],
    }),
  });
  return {
    get: () => view.state.doc.toString(),
    set: text => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    focus: () => view.focus(),
  };
}
