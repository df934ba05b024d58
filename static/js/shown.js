// Whether the page shows a JSON value whole and as it is. It reads the very elements that the
// filter `bare_value` of the console's templates makes of one, so that arguments which were
// altered on the way, or on the page, are not signed unseen.

const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
const number = (character) => character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
const visible = (text) => text.replace(HIDDEN, (character) => `U+${number(character)}`);

function words(item) {
  if (item === null) return "none";
  if (typeof item === "boolean") return item ? "yes" : "no";
  if (typeof item === "string") return item ? visible(item) : "empty text";
  if (typeof item === "number") return String(item);
  return Array.isArray(item) ? "empty list" : "nothing";
}

// The parts of the only list in a place, when there are so many and there is nothing else.
function partsOf(place, count) {
  const list = place.firstElementChild;
  const isAlone = place.childNodes.length === 1 && list?.childNodes.length === count;
  return isAlone && list.children.length === count ? [...list.children] : null;
}

export function isShown(place, item) {
  const names = item !== null && typeof item === "object" ? Object.keys(item).sort() : [];
  if (!names.length) return place.textContent === words(item);
  if (Array.isArray(item)) {
    const parts = partsOf(place, item.length);
    return parts !== null && item.every((one, at) => isShown(parts[at], one));
  }
  const parts = partsOf(place, 2 * names.length);
  return parts !== null && names.every((name, at) =>
    parts[2 * at].textContent === visible(name) && isShown(parts[2 * at + 1], item[name]));
}
