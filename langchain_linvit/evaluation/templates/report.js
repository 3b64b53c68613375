"use strict";
// Shows the page's runs. All data are text that models and others wrote: they reach the page through text nodes only.
(() => {
  const ITEMS_AT_ONCE = 50;
  const LONG_TEXT = 420;
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  /** An element with a class, properties and children; strings become text nodes. */
  function make(tag, className, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const round = (value) => value.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "−");
  const count = (value) => (value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));
  const outcomeOf = (run) => (run.error !== null ? "error" : run.s >= 1 ? "solved" : "unsolved");
  const STATUSES = "chosen: carried out. kept: searched further. pruned: not kept. linked: an equal state is searched "
    + "elsewhere. dead: could not be carried out. open: left where the search ended.";
  const ICONS = { solved: "✓", unsolved: "✗", error: "!" };
  const WORDS = { solved: "solved", unsolved: "not solved", error: "run failed" };

  /** Text that may be long: all of it, or its beginning and a way to the rest. */
  function longText(text, className) {
    if (text.length <= LONG_TEXT) return make("div", `text ${className}`, text);
    const rest = make("details", `text ${className}`, make("summary", "", `${text.slice(0, LONG_TEXT)}… (show all)`));
    rest.append(make("div", "text", text));
    return rest;
  }

  // ---- one run -------------------------------------------------------------------------------------------------

  function facts(run) {
    const list = make("dl", "facts");
    const add = (name, value, wide) => {
      if (value === null || value === undefined || value === "") return;
      list.append(make("div", wide ? "wide" : "", make("dt", "", name), make("dd", "", value)));
    };
    const experiment = data.experiments[run.e];
    for (const [name, value] of Object.entries(run.costs)) if (value !== null) add(name, count(value));
    const plan = run.plan;
    if (plan) {
      add("distinct states", count(plan.states));
      add("budget that ran out", plan.budget);
    }
    for (const [name, value] of Object.entries(run.scores)) if (value !== null) add(name, count(value));
    const sources = plan ? Object.entries(plan.prior).map(([name, n]) => `${n} ${name}`).join(", ") : "";
    add("prior (where log π came from)", experiment.prior + (sources ? `: ${sources}` : ""), true);
    const oracle = experiment.oracle ? " — oracle: it saw the benchmark's verdict" : "";
    add("value", ((plan && plan.value) || experiment.value) + oracle, Boolean(oracle));
    if (plan) add("verdict", plan.verdict, true);
    return list;
  }

  function metric(name, value, source) {
    return make("span", "", `${name} `, make("b", "", value), source);
  }

  function stepView(step, number) {
    const metrics = make("div", "metrics");
    if (step.p !== undefined) metrics.append(metric("log π", round(step.p), step.w ? ` (${step.w})` : null));
    if (step.v !== undefined) metrics.append(metric("V", round(step.v)));
    const row = make("li", "step", make("span", "number", `${number}.`), make("span", "action text", step.a), metrics);
    if (step.g) row.append(make("div", "below text", `for: ${step.g}`));
    if (step.e) row.append(make("div", "below text bad", step.e));
    if (step.o && step.o !== step.e) row.append(longText(step.o, "below"));
    return row;
  }

  function trajectory(plan) {
    const list = make("ol", "steps", ...plan.steps.map((step, index) => stepView(step, index + 1)));
    const parts = [make("h4", "", "Trajectory"), plan.steps.length ? list : make("p", "note", "No step was taken.")];
    if (plan.more_steps) parts.push(make("p", "note", `${plan.more_steps} more steps are left out of this page.`));
    return parts;
  }

  // ---- search trees --------------------------------------------------------------------------------------------

  function valueCell(value) {
    if (value === undefined) return make("span", "num", "");
    const bar = make("i");
    bar.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
    const meter = make("span", "meter", bar);
    meter.setAttribute("aria-hidden", "true");
    return make("span", "num", meter, round(value));
  }

  function nodeRow(tag, node) {
    const logProb = make("span", "num", node.p === undefined ? "" : round(node.p));
    if (node.w) logProb.title = `log π: ${node.w}`;
    const score = make("span", "num", node.c === undefined ? "" : round(node.c));
    const what = make("span", "what", node.t || (node.k === "root" ? "(the beginning)" : "(nothing)"), node.s ? " ✓ solved" : null);
    return make(tag, "node", make("span", "twist"), make("span", "tag", node.k), what, logProb, valueCell(node.v), score);
  }

  /** A node and, once opened, what it led to. */
  function nodeView(index, nodes, children) {
    const node = nodes[index];
    const below = (children.get(index) || []).filter((child) => nodes[child].d === node.d || node.k !== "chosen");
    const after = [
      node.e ? make("div", "after bad", node.e) : null,
      node.o ? make("div", "after", node.o) : null,
      node.r ? make("div", "after", `reward ${count(node.r)}`) : null,
    ].filter(Boolean);
    if (!below.length && !after.length) return make("li", `k-${node.k}`, nodeRow("div", node));
    const details = make("details", "", nodeRow("summary", node));
    const fill = () => {
      if (details.childElementCount > 1) return;
      details.append(...after);
      if (below.length) details.append(make("ul", "", ...below.map((child) => nodeView(child, nodes, children))));
    };
    details.addEventListener("toggle", fill);
    details.fill = fill;
    if (node.k === "chosen" || node.k === "kept") {
      fill();
      details.open = below.length > 0;
    }
    return make("li", `k-${node.k}`, details);
  }

  function decisionView(number, tops, nodes, children, isOpen) {
    const members = nodes.filter((node) => node.d === number && node.k !== "root").length;
    const chosen = nodes.find((node) => node.d === number && node.k === "chosen");
    const title = `Decision ${number + 1}: ${members} nodes${chosen ? `, carried out: ${chosen.t}` : ""}`;
    const details = make("details", "decision", make("summary", "", title));
    details.fill = () => {
      if (details.childElementCount > 1) return;
      const names = ["", "status", "proposal", "log π", "V", "score"];
      const head = make("li", "", make("div", "node head", ...names.map((name, at) => make("span", at > 2 ? "num" : "", name))));
      const list = make("ul", "tree", head, ...tops.map((top) => nodeView(top, nodes, children)));
      details.append(make("div", "scroll", list));
    };
    details.addEventListener("toggle", details.fill);
    if (isOpen) {
      details.fill();
      details.open = true;
    }
    return details;
  }

  /** The search, decision by decision: each begins at the state that the one before it led to. */
  function searchTree(plan) {
    const nodes = plan.tree;
    const children = new Map();
    const tops = new Map();
    nodes.forEach((node, index) => {
      const parent = node.u === undefined ? undefined : nodes[node.u];
      if (node.u !== undefined) children.set(node.u, [...(children.get(node.u) || []), index]);
      const begins = !parent || parent.k === "root" || (parent.k === "chosen" && parent.d !== node.d);
      if (begins && node.k !== "root") tops.set(node.d, [...(tops.get(node.d) || []), index]);
    });
    const holder = make("div", "");
    const views = [...tops.keys()].sort((a, b) => a - b)
      .map((number, index) => decisionView(number, tops.get(number), nodes, children, index === 0));
    const every = (open) => () => {
      for (let round = 0; round < 60; round += 1) {
        const left = [...holder.querySelectorAll("details")].filter((details) => details.open !== open);
        if (!left.length) return;
        for (const details of left) {
          if (open && details.fill) details.fill();
          details.open = open;
        }
      }
    };
    const button = (text, act) => {
      const made = make("button", "", text);
      made.type = "button";
      made.addEventListener("click", act);
      return made;
    };
    const kept = make("input");
    kept.type = "checkbox";
    kept.addEventListener("change", () => holder.classList.toggle("only-kept", kept.checked));
    const tools = make("div", "tree-tools", button("Expand all", every(true)), button("Collapse all", every(false)),
      make("label", "", kept, "only what was kept or carried out"));
    holder.append(...views);
    const parts = [make("h4", "", "Search tree"), tools, make("p", "note", STATUSES), holder];
    if (plan.more_nodes) parts.push(make("p", "note", `${plan.more_nodes} of ${plan.more_nodes + nodes.length} nodes are left out of this page: pruned and late ones first.`));
    return parts;
  }

  function runView(item, run) {
    const experiment = data.experiments[run.e];
    const outcome = outcomeOf(run);
    const plan = run.plan;
    const view = make("section", "run");
    const verdict = make("span", `verdict ${outcome}`, `${ICONS[outcome]} ${WORDS[outcome]}`);
    const header = make("header", "", make("h3", "", experiment.name + (run.r ? `, repetition ${run.r + 1}` : "")), verdict);
    if (plan) header.append(make("span", "note text", `${plan.outcome.replaceAll("_", " ")}${plan.reason ? `: ${plan.reason}` : ""}`));
    view.append(header);
    if (run.error !== null) view.append(longText(run.error, "bad"));
    view.append(facts(run));
    if (plan) {
      if (plan.goal && plan.goal !== titleOf(item)) view.append(make("h4", "", "Goal"), longText(plan.goal, ""));
      for (const note of plan.notes) view.append(make("p", "warning text", `note: ${note}`));
      view.append(...trajectory(plan));
      if (plan.tree.length) view.append(...searchTree(plan));
    }
    if (item.text && item.text !== titleOf(item)) view.append(make("h4", "", "Task"), longText(item.text, "mono"));
    return view;
  }

  // ---- items ---------------------------------------------------------------------------------------------------

  function titleOf(item) {
    const planned = item.runs.find((run) => run.plan && run.plan.goal);
    return planned ? planned.plan.goal : item.text;
  }

  /** Put an open run into the address, so that it can be passed on; a sandboxed frame has none to change. */
  function remember(key) {
    try {
      history.replaceState(null, "", `#${key}`);
    } catch (error) {
      if (error.name !== "SecurityError") throw error;
    }
  }

  function chipView(item, run, place, key) {
    const experiment = data.experiments[run.e];
    const outcome = outcomeOf(run);
    const chip = make("button", `chip ${outcome}`, make("span", "icon", ICONS[outcome]),
      make("span", "name", experiment.name + (run.r ? ` #${run.r + 1}` : "")));
    chip.type = "button";
    if (experiment.oracle) chip.append(make("span", "oracle-mark", "oracle"));
    const calls = run.costs.completions;
    if (calls !== null && calls !== undefined) chip.append(make("span", "cost", `${count(calls)} completions`));
    chip.setAttribute("aria-expanded", "false");
    chip.setAttribute("aria-label", `${experiment.name}: ${WORDS[outcome]}; open the run`);
    chip.id = key;
    let view = null;
    chip.addEventListener("click", () => {
      const open = chip.getAttribute("aria-expanded") !== "true";
      chip.setAttribute("aria-expanded", String(open));
      if (view) view.remove();
      view = null;
      if (open) {
        view = runView(item, run);
        place.append(view);
        remember(key);
      }
    });
    return chip;
  }

  function itemView(item, runs) {
    const place = make("div", "");
    const badges = Object.entries(item.groups).map(([key, group]) => make("span", "badge", `${key}: ${group}`));
    const head = make("div", "item-head", make("span", "item-id text", item.id), ...badges);
    if (benchmarks.length > 1) head.append(make("span", "badge", item.benchmark));
    const text = titleOf(item);
    const chips = runs.map((run) => chipView(item, run, place, `run-${data.items.indexOf(item)}-${item.runs.indexOf(run)}`));
    return make("li", "item", head, make("p", "item-text", text.length > 240 ? `${text.slice(0, 240)}…` : text),
      make("div", "runs", ...chips), place);
  }

  // ---- filters -------------------------------------------------------------------------------------------------

  const benchmarks = [...new Set(data.experiments.map((experiment) => experiment.benchmark))];
  let matching = [];
  let shown = 0;

  function option(select, value, text) {
    const made = make("option", "", text);
    made.value = value;
    select.append(made);
  }

  function fillFilters() {
    data.experiments.forEach((experiment, index) => option(byId("filter-method"), String(index), experiment.name));
    const groups = new Map();
    for (const item of data.items) {
      for (const [key, group] of [...(benchmarks.length > 1 ? [["benchmark", item.benchmark]] : []), ...Object.entries(item.groups)]) {
        groups.set(key, (groups.get(key) || new Set()).add(group));
      }
    }
    const natural = new Intl.Collator("en", { numeric: true });
    for (const [key, found] of groups) {
      const holder = make("optgroup", "");
      holder.label = key;
      for (const group of [...found].sort(natural.compare)) option(holder, JSON.stringify([key, group]), group);
      byId("filter-group").append(holder);
    }
    byId("filter-group").parentElement.hidden = groups.size === 0;
  }

  /** What the text filter looks through, made once an item is first searched. */
  function searchable(item) {
    if (item.words === undefined) {
      const parts = [item.id, item.text, ...Object.values(item.groups)];
      for (const run of item.runs) {
        parts.push(run.error || "");
        if (run.plan) parts.push(run.plan.goal, run.plan.reason, ...run.plan.notes, ...run.plan.steps.flatMap((step) => [step.a, step.e || ""]));
      }
      item.words = parts.join("\n").toLowerCase();
    }
    return item.words;
  }

  function inGroup(item, wanted) {
    if (!wanted) return true;
    const [key, group] = JSON.parse(wanted);
    return key === "benchmark" && benchmarks.length > 1 ? item.benchmark === group : item.groups[key] === group;
  }

  function apply() {
    const words = byId("filter-text").value.trim().toLowerCase();
    const method = byId("filter-method").value;
    const group = byId("filter-group").value;
    const outcome = byId("filter-outcome").value;
    matching = [];
    let runCount = 0;
    for (const item of data.items) {
      if (!inGroup(item, group) || (words && !searchable(item).includes(words))) continue;
      let runs = item.runs.filter((run) => !method || run.e === Number(method));
      if (outcome === "differ") {
        if (new Set(item.runs.map((run) => run.s)).size < 2) runs = [];
      } else if (outcome) {
        runs = runs.filter((run) => (outcome === "unsolved" ? run.s < 1 : outcomeOf(run) === outcome));
      }
      if (!runs.length) continue;
      matching.push([item, runs]);
      runCount += runs.length;
    }
    byId("list").replaceChildren();
    shown = 0;
    showMore();
    const of = data.items.length === matching.length ? "" : ` of ${data.items.length}`;
    byId("count").textContent = matching.length ? `${matching.length}${of} items, ${runCount} runs` : "No run matches these filters.";
  }

  function showMore(upTo = shown + ITEMS_AT_ONCE) {
    byId("list").append(...matching.slice(shown, upTo).map(([item, runs]) => itemView(item, runs)));
    shown = Math.min(upTo, matching.length);
    byId("more").hidden = shown >= matching.length;
    byId("more").textContent = `Show more (${matching.length - shown} left)`;
  }

  /** Open the run that the address names. */
  function follow() {
    const found = /^#run-(\d+)-\d+$/.exec(location.hash);
    if (!found) return;
    const at = Number(found[1]);
    if (at >= shown) showMore(at + 1);
    const chip = byId(location.hash.slice(1));
    if (chip) {
      chip.click();
      chip.scrollIntoView({ block: "start" });
    }
  }

  let waiting = 0;
  byId("filter-text").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 150);
  });
  for (const id of ["filter-method", "filter-group", "filter-outcome"]) byId(id).addEventListener("change", apply);
  byId("filters").addEventListener("reset", () => setTimeout(apply));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", () => showMore());
  fillFilters();
  apply();
  follow();
})();
