// Moments in the viewer's zone: relative, with the exact time on hover. Without this script
// the page shows UTC.

const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeStyle: "long" });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dayOnly = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const dayAndClock = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// Deadlines are the server's: its clock counts, whatever the viewer's shows.
const servedAt = Date.parse(document.body.dataset.servedAt ?? "");
const ahead = Number.isNaN(servedAt) ? 0 : servedAt - Date.now();
const now = () => Date.now() + ahead;

function ago(at) {
  const past = now() - at;
  const size = Math.abs(past);
  if (size < 10 * SECOND) return past >= 0 ? "just now" : "in a moment";
  const text = length(size);
  return past > 0 ? `${text} ago` : `in ${text}`;
}

function length(size) {
  if (size < MINUTE) return `${Math.round(size / SECOND)} s`;
  if (size < HOUR) return `${Math.round(size / MINUTE)} min`;
  if (size < DAY) return `${Math.round(size / HOUR)} h`;
  const days = Math.round(size / DAY);
  return days === 1 ? "1 day" : `${days} days`;
}

function left(at) {
  const rest = at - now();
  if (rest <= 0) return "time is up";
  if (rest < 10 * MINUTE) {
    const minutes = Math.floor(rest / MINUTE);
    const seconds = Math.floor((rest % MINUTE) / SECOND);
    return minutes ? `${minutes} min ${seconds} s left` : `${seconds} s left`;
  }
  if (rest < HOUR) return `${Math.floor(rest / MINUTE)} min left`;
  if (rest < DAY) {
    return `${Math.floor(rest / HOUR)} h ${Math.floor((rest % HOUR) / MINUTE)} min left`;
  }
  return `${Math.floor(rest / DAY)} d ${Math.floor((rest % DAY) / HOUR)} h left`;
}

function moment(at) {
  const isToday = new Date(at).toDateString() === new Date(now()).toDateString();
  return (isToday ? clock : dayAndClock).format(at);
}

const manners = { ago, left, clock: moment, day: (at) => dayOnly.format(at) };

function show() {
  for (const element of document.querySelectorAll("time[data-time]")) {
    const at = Date.parse(element.dateTime);
    const text = manners[element.dataset.time]?.(at);
    if (text && element.textContent !== text) element.textContent = text;
    if (!element.dataset.zoned) {
      element.dataset.zoned = "yes";
      element.title = exact.format(at);
    }
  }
}

show();
setInterval(show, SECOND);
document.addEventListener("htmx:afterSwap", show);
