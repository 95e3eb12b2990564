/* Search and filters above the table of claims; without scripts the whole table is there. */
(() => {
  "use strict";

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function choice(name, values) {
    const options = [
      element("option", { value: "", textContent: `every ${name}` }),
      ...values.map((value) => element("option", { value, textContent: value })),
    ];
    return element("select", { ariaLabel: `Show claims of one ${name}` }, ...options);
  }

  function enhance(table) {
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    const rows = [...table.tBodies[0].rows];
    const text = (row, head) => row.cells[heads.indexOf(head)].textContent.trim();
    const values = (head) => [...new Set(rows.map((row) => text(row, head)))];

    const search = element("input", {
      type: "search",
      placeholder: "Search the claims",
      ariaLabel: "Search the claims",
    });
    const kind = choice("kind", values("Kind"));
    const verdict = choice("verdict", values("Verdict"));
    const count = element("output", {});

    function show() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const content = row.textContent.toLowerCase();
        const fits =
          (!kind.value || text(row, "Kind") === kind.value) &&
          (!verdict.value || text(row, "Verdict") === verdict.value) &&
          words.every((word) => content.includes(word));
        row.hidden = !fits;
        shown += fits;
      }
      count.textContent = `${shown} of ${rows.length} claims`;
    }

    /* A claim that an address points at is never hidden. */
    function reveal() {
      const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (!target || !table.contains(target)) return;
      search.value = kind.value = verdict.value = "";
      show();
      target.scrollIntoView({ block: "center" });
    }

    for (const row of rows) row.dataset.verdict = text(row, "Verdict");
    for (const control of [search, kind, verdict]) control.addEventListener("input", show);
    window.addEventListener("hashchange", reveal);
    const bar = element("div", { className: "lcc-ledger" }, search, kind, verdict, count);
    table.closest(".lcc-table-scroll").before(bar);
    show();
    reveal();
  }

  function start() {
    document.querySelectorAll('table[data-table="claims"]').forEach(enhance);
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
