// Markdown as elements: an answer becomes text nodes in elements of a fixed list, never markup of its own.
"use strict";

const element = (name, ...children) => {
  const made = document.createElement(name);
  made.append(...children);
  return made;
};

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|_([^_\s][^_]*)_(?!\w)/;

function inline(text) {
  const nodes = [];
  for (let rest = text; rest; ) {
    const found = INLINE.exec(rest);
    if (!found) return [...nodes, rest];
    const [whole, code, strong, star, under] = found;
    if (found.index) nodes.push(rest.slice(0, found.index));
    if (code !== undefined) nodes.push(element("code", code));
    else if (strong !== undefined) nodes.push(element("strong", ...inline(strong)));
    else nodes.push(element("em", ...inline(star ?? under)));
    rest = rest.slice(found.index + whole.length);
  }
  return nodes;
}

const lines = (group) => group.flatMap((line, at) => (at ? [element("br"), ...inline(line)] : inline(line)));
const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

const BLOCKS = [
  { is: /^#{1,6}\s/, make: ([line]) => element(`h${Math.min(6, line.match(/^#+/)[0].length + 2)}`, ...inline(line.replace(/^#+\s+/, ""))), single: true },
  { is: /^\s*[-*+]\s/, make: (group) => element("ul", ...group.map((line) => element("li", ...inline(line.replace(/^\s*[-*+]\s+/, ""))))) },
  { is: /^\s*\d+[.)]\s/, make: (group) => element("ol", ...group.map((line) => element("li", ...inline(line.replace(/^\s*\d+[.)]\s+/, ""))))) },
  { is: /^>/, make: (group) => element("blockquote", ...lines(group.map((line) => line.replace(/^>\s?/, "")))) },
  { is: /^\s*\|/, make: table },
];

function table(group) {
  const rows = group.filter((line) => !/^\s*\|?[\s:|-]+\|?\s*$/.test(line));
  const row = (line, name) => element("tr", ...cells(line).map((cell) => element(name, ...inline(cell))));
  return element("table", ...rows.map((line, at) => row(line, at ? "td" : "th")));
}

/** Returns the elements of a text; an unfinished code block runs to its end. */
export function markdown(text) {
  const made = [];
  const all = text.replace(/\r/g, "").split("\n");
  for (let at = 0; at < all.length; ) {
    const line = all[at];
    if (!line.trim()) {
      at += 1;
    } else if (line.startsWith("```")) {
      const end = all.findIndex((other, place) => place > at && other.startsWith("```"));
      const stop = end < 0 ? all.length : end;
      made.push(element("pre", element("code", all.slice(at + 1, stop).join("\n"))));
      at = stop + 1;
    } else {
      const block = BLOCKS.find(({ is }) => is.test(line));
      const belongs = (other) => (block ? block.is.test(other) : other.trim() && !other.startsWith("```") && !BLOCKS.some(({ is }) => is.test(other)));
      let stop = at + 1;
      while (!block?.single && stop < all.length && belongs(all[stop])) stop += 1;
      const group = all.slice(at, stop);
      made.push(block ? block.make(group) : element("p", ...lines(group)));
      at = stop;
    }
  }
  return made;
}
