"""How a page of surprise looks: its scale of colours, its style sheet, its few lines of script.

The scale doubles from class to class, so that it serves characters, which cost a bit or two, and
words, which cost ten. Its colours go in even steps of lightness, about 0.06 in OKLab (Ottosson
2020), so that an eye without colour tells them apart as well; text stands out from each of them
by a contrast of 4.5 or more, as WCAG 2 asks.
"""

LIMITS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # bits at which the classes 1, 2, ... begin
LIGHT_PAGE, LIGHT_TEXT = "#ffffff", "#161616"
LIGHT = ("#f2ebca", "#edd39e", "#ecb873", "#ec994d", "#eb762f", "#e35029")  # of the classes
DARK_PAGE, DARK_TEXT = "#121314", "#f4f4f2"
DARK = ("#291f10", "#422a0f", "#5d350f", "#7a3e12", "#98471d", "#b84e2e")


def _colours(page: str, text: str, faint: str, line: str, ramp: tuple[str, ...]) -> str:
    steps = "".join(f"--b{number}:{colour};" for number, colour in enumerate(ramp, 1))
    return f"--page:{page};--text:{text};--faint:{faint};--line:{line};{steps}"


STYLE = f"""
:root{{color-scheme:light dark;{_colours(LIGHT_PAGE, LIGHT_TEXT, "#5c5c58", "#d8d8d2", LIGHT)}}}
@media screen and (prefers-color-scheme:dark){{
:root{{{_colours(DARK_PAGE, DARK_TEXT, "#a9a9a4", "#3a3a3a", DARK)}}}}}
*{{box-sizing:border-box}}
body{{margin:0 auto;max-width:52rem;padding:2rem 1.25rem 6rem;background:var(--page);
color:var(--text);font:16px/1.5 system-ui,sans-serif;print-color-adjust:exact;
-webkit-print-color-adjust:exact}}
h1{{font-size:1.45rem;line-height:1.25;margin:0;overflow-wrap:anywhere}}
h2{{font-size:1rem;margin:2rem 0 .5rem}}
p{{margin:.35rem 0}}
header p,small{{color:var(--faint)}}
dl,.scale,.words{{display:flex;flex-wrap:wrap;margin:1.25rem 0 0;padding:0;list-style:none}}
dl{{gap:1rem 2.25rem}}
dt{{color:var(--faint);font-size:.85rem}}
dd{{margin:0;font-size:1.2rem;font-variant-numeric:tabular-nums}}
.scale{{margin-top:.5rem;text-align:center;font-variant-numeric:tabular-nums}}
.scale li{{flex:1 1 5.5rem}}
.scale b{{display:block;padding:.3rem 0;font-weight:normal}}
.scale small{{display:block;line-height:1.35;margin-top:.2rem}}
.scale .b0{{box-shadow:inset 0 0 0 1px var(--line)}}
.words{{gap:.45rem 1.4rem;margin-top:.5rem}}
.words a{{color:inherit;text-decoration-color:var(--b4);text-underline-offset:.2em;
overflow-wrap:anywhere}}
.cut{{border-left:3px solid var(--b6);padding:.1rem .75rem;color:var(--text)!important}}
main{{margin-top:2rem;padding-top:1.5rem;border-top:1px solid var(--line);
font:1.05rem/1.65 Georgia,"Times New Roman",serif}}
main:focus{{outline:none}}
main:focus-visible{{border-top-color:var(--text)}}
main div{{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext;tab-size:4;
content-visibility:auto;contain-intrinsic-size:auto 40rem}}
.next{{margin-top:.8rem;padding-top:.8rem;border-top:1px dotted var(--line)}}
u{{text-decoration:none}}
u::before{{content:"\\21b5";opacity:.6;font:.75em system-ui,sans-serif;direction:ltr;
unicode-bidi:isolate}}
u[data-c]::before{{content:attr(data-c);font-size:.65em;opacity:1;padding:0 .2em}}
{"".join(f".b{number}{{background:var(--b{number})}}" for number in range(1, len(LIMITS) + 1))}
.now,:target{{outline:2px solid var(--text);outline-offset:1px}}
output{{position:fixed;inset:auto 0 0;padding:.5rem 1.25rem;background:var(--page);
border-top:1px solid var(--line);font-size:.9rem;text-align:center;
font-variant-numeric:tabular-nums;white-space:pre-wrap}}
@media (forced-colors:active){{main,.scale,.words{{forced-color-adjust:none;
background:var(--page);color:var(--text)}}}}
@media print{{body{{max-width:none;padding:0;font-size:11pt}}output{{display:none}}
main div{{content-visibility:visible}}}}
"""

# What a title tells a mouse, the line below tells a finger and a keyboard too.
SCRIPT = """
const text = document.querySelector("main"), line = document.querySelector("output");
const tokens = text.getElementsByTagName("span");
let now = null;
line.hidden = false;
function show(token) {
  if (!token) return;
  if (now) now.classList.remove("now");
  (now = token).classList.add("now");
  line.textContent = JSON.stringify(token.textContent) + "  " + token.title;
}
function move(step, surprising) {
  let at = now ? Array.prototype.indexOf.call(tokens, now) : -1;
  do at += step; while (surprising && tokens[at] && !/^b[56]/.test(tokens[at].className));
  show(tokens[at]);
  if (tokens[at]) now.scrollIntoView({block: "nearest"});
}
for (const kind of ["mouseover", "click"])
  text.addEventListener(kind, event => show(event.target.closest("main span")));
text.addEventListener("keydown", event => {
  const key = {ArrowRight: [1], ArrowLeft: [-1], n: [1, true], p: [-1, true]}[event.key];
  if (!key || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  move(...key);
});
addEventListener("hashchange", () => show(text.querySelector(":target")));
"""
