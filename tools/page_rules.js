// What is wrong with a page as it is shown now, one text each; see check_pages.py.
(() => {
  const found = [], say = text => found.push(text), all = query => [...document.querySelectorAll(query)];
  const seen = each => each.checkVisibility();
  const words = each => (each.getAttribute("aria-label") || each.textContent).trim().replace(/\s+/g, " ").slice(0, 40);
  const paper = matchMedia("print").matches, width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width + 1) say(`is ${document.documentElement.scrollWidth} px wide in ${width}`);
  for (const each of all("table, pre, img, figure").filter(seen)) {
    const box = each.parentElement.closest(".table, .picture") ?? each, scrolls = getComputedStyle(box).overflowX === "auto";
    const right = each.getBoundingClientRect().right;
    if (right > width + 1 && (paper || !scrolls)) say(`${each.localName} is cut off: ${words(each)}`);
    if (scrolls && box.scrollWidth > box.clientWidth + 1 && box.tabIndex < 0) say(`cannot be scrolled by keys: ${words(each)}`);
    if (each.matches("table.labelled") && right > width + 1) say(`table must be scrolled: ${words(each)}`);
  }
  if (!document.documentElement.lang || !document.title) say("has no language or title");
  if (all("main").length !== 1 || all("h1").length !== 1) say(`has ${all("main").length} main parts and ${all("h1").length} first headings`);
  let above = 0;
  for (const each of all("h1, h2, h3, h4, h5, h6")) {
    if (+each.localName[1] > above + 1) say(`heading skips a level: ${words(each)}`);
    above = +each.localName[1];
  }
  const ids = all("[id]").map(each => each.id);
  for (const id of new Set(ids.filter((id, place) => ids.indexOf(id) !== place))) say(`id is there twice: ${id}`);
  for (const each of all("img")) if (!each.alt) say("image without a text");
  for (const each of all("a[href], button, input, select, summary")) if (!words(each) && !each.labels?.length) say(`${each.localName} without a name`);
  const navigation = all("nav").map(each => each.ariaLabel);
  if (new Set(navigation).size < navigation.length || navigation.includes(null)) say("navigation without a name of its own");
  const channels = text => text.match(/[\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = each => {
    for (; each; each = each.parentElement) {
      const rgb = channels(getComputedStyle(each).backgroundColor);
      if ((rgb[3] ?? 1) > 0.5) return rgb;
    }
    return [255, 255, 255];
  };
  const weak = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (!paper && texts.nextNode()) {
    const each = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !seen(each)) continue;
    const style = getComputedStyle(each), pair = [light(channels(style.color)), light(ground(each))].sort();
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) weak.add(`contrast of ${ratio.toFixed(1)}: ${style.color} of ${each.localName}.${each.className}`);
  }
  return [...found, ...weak];
})()
