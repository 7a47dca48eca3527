"""How pages look: one style sheet inside every page, and which words are good or bad news."""

from __future__ import annotations

TONES = {
    "none": "good",
    "PROMOTE": "good",
    "accepted": "good",
    "retrain": "act",
    "covariate shift": "act",
    "collect labels": "act",
    "undeclared offset": "bad",
    "fix ingest": "bad",
    "refused": "bad",
    "REJECT": "bad",
    "HOLD": "quiet",
    "in control": "good",
    "season as expected": "good",
    "alarm": "act",
    "beyond": "warn",
    "fault": "bad",
    "cannot tell": "warn",
    "uncalibrated": "quiet",
    "no reference yet": "quiet",
    "no reference": "quiet",
    "gain": "bad",
    "band swap": "bad",
    "missing band": "bad",
    "unit or scale": "bad",
    "cloud or nodata surge": "warn",
    "resampling or CRS": "bad",
    "new region": "act",
    "label shift": "act",
    "concept change": "act",
    "re-baseline": "warn",
    "look": "warn",
    "ignore": "quiet",
    "trail whole": "good",
    "trail broken": "bad",
    "INSUFFICIENT_EVIDENCE": "quiet",
}
#: Colour of a point or a bar, by tone; each differs from the others for colour-blind eyes.
INKS = {"good": "#0072b2", "warn": "#e69f00", "act": "#d55e00", "bad": "#a4262c", "quiet": "#8c98a4", "": "#5b6875"}
STYLE = """
:root{--ink:#1c2733;--quiet:#5b6875;--line:#e2e7ec;--wash:#f5f7f9;--blue:#0072b2;--orange:#b34700;--green:#00694f;
--red:#a4262c;--paper:#fff}
*{box-sizing:border-box}
html{font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
color:var(--ink);background:var(--wash)}
body{margin:0}
main{max-width:1080px;margin:0 auto;padding:0 24px 72px}
header{background:#10212f;color:#fff;padding:44px 24px 36px;margin-bottom:28px}
header>div{max-width:1032px;margin:0 auto}
header h1{font-size:2rem;line-height:1.2;margin:0 0 8px;letter-spacing:-.01em}
header p{margin:0;color:#c3d0db;max-width:70ch}
section{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:24px 28px 26px;margin:0 0 22px}
h2{font-size:1.3rem;margin:0 0 6px;letter-spacing:-.005em}
h3{font-size:1.02rem;margin:22px 0 6px}
p{margin:6px 0 12px;max-width:78ch}
.step{color:var(--blue);font-weight:650;font-size:.78rem;letter-spacing:.09em;text-transform:uppercase;margin:0 0 4px}
.lead{font-size:1.02rem}
.quiet{color:var(--quiet)}
small,.small{font-size:.86rem}
code{font:.84em ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;background:var(--wash);padding:1px 5px;
border-radius:4px;overflow-wrap:anywhere}
figure{margin:14px 0 4px}
figure img{max-width:min(100%,900px);height:auto;display:block}
figcaption{color:var(--quiet);font-size:.86rem;margin-top:4px;max-width:78ch}
.pair{display:grid;grid-template-columns:repeat(auto-fill,minmax(380px,1fr));gap:4px 26px;align-items:start}
table{border-collapse:collapse;width:100%;font-size:.9rem;margin:10px 0 4px}
th{color:var(--quiet);font-weight:600;text-align:left}
th,td{padding:7px 12px 7px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.wide{overflow-x:auto}
.tag{display:inline-block;border-radius:999px;padding:1px 11px;font-size:.8rem;font-weight:650;white-space:nowrap;
background:#e9edf1;color:#3c4955}
.tag.good{background:#dcf2ea;color:var(--green)}
.tag.act{background:#fdeadb;color:var(--orange)}
.tag.bad{background:#fbe1e2;color:var(--red)}
.tag.warn{background:#fdf1d3;color:#7a5200}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:14px 0 8px}
.card{border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.card b{display:block;font-size:1.15rem;line-height:1.3;font-variant-numeric:tabular-nums;overflow-wrap:break-word}
.card span{color:var(--quiet);font-size:.82rem;line-height:1.4;display:block}
.note{border-left:3px solid #e69f00;background:#fff9ec;padding:10px 16px;border-radius:0 8px 8px 0;margin:12px 0;
max-width:none}
.bars td{border:0;padding:3px 12px 3px 0}
.bar{position:relative;background:var(--wash);border-radius:4px;height:15px;min-width:200px}
.bar i{position:absolute;inset:0 auto 0 0;border-radius:4px;background:var(--blue)}
.bar i.beyond{background:#d55e00}
.bar u{position:absolute;top:-3px;bottom:-3px;width:0;border-left:2px dashed var(--ink)}
.crumbs{font-size:.86rem;margin:0 0 10px}
.crumbs a{color:#8fd0ff;margin:0}
.badges{margin:0 0 10px}
.badges .tag{margin-right:6px}
.streams{display:grid;grid-template-columns:repeat(auto-fill,minmax(310px,1fr));gap:14px;margin:14px 0 4px}
.stream{border:1px solid var(--line);border-left:5px solid #8c98a4;border-radius:10px;padding:13px 16px 12px;
min-width:0}
.stream.good{border-left-color:#0072b2}.stream.warn{border-left-color:#e69f00}.stream.act{border-left-color:#d55e00}
.stream.bad{border-left-color:#a4262c}
.stream h3{margin:0 0 6px;font-size:1rem;overflow-wrap:anywhere}
.stream p{margin:6px 0 0;font-size:.88rem;line-height:1.5}
.stream svg{margin-top:8px}
svg.drawn{display:block;width:100%;height:auto;max-width:980px;font:12px system-ui,-apple-system,"Segoe UI",Roboto,
"DejaVu Sans",sans-serif;fill:var(--quiet)}
svg.drawn text.ink{fill:var(--ink)}
svg.drawn a:hover circle,svg.drawn a:focus circle{stroke:var(--ink);stroke-width:2}
.scroll{overflow-x:auto}
.scroll svg.drawn{min-width:560px}
.do{counter-reset:step;list-style:none;margin:12px 0 4px;padding:0}
.do li{counter-increment:step;position:relative;padding:2px 0 10px 36px;max-width:78ch}
.do li:before{content:counter(step);position:absolute;left:0;top:1px;width:23px;height:23px;border-radius:50%;
background:var(--ink);color:#fff;font-size:.78rem;font-weight:650;text-align:center;line-height:23px}
.fine{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 0;padding:0;list-style:none;font-size:.86rem;
color:var(--quiet)}
.keys{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.82rem;color:var(--quiet);margin:6px 0 0}
.keys i{display:inline-block;width:11px;height:11px;border-radius:50%;margin-right:6px;vertical-align:-1px}
table.narrow{width:auto}table.narrow td,table.narrow th{padding-right:36px}
code.short{white-space:nowrap;overflow-wrap:normal}
td.day,td .day{white-space:nowrap}
td a code{color:var(--blue)}
.chain{list-style:none;margin:14px 0 0;padding:0}
.chain li{position:relative;padding:0 0 16px 30px}
.chain li:before{content:"";position:absolute;left:5px;
top:7px;width:11px;height:11px;border-radius:50%;background:var(--blue)}
.chain li:after{content:"";position:absolute;left:10px;top:20px;bottom:-5px;border-left:2px solid var(--line)}
.chain li:last-child:after{display:none}
nav a{color:#8fd0ff;margin-right:18px}
a{color:var(--blue)}
footer{color:var(--quiet);font-size:.86rem;padding:6px 4px}
@media(max-width:560px){section{padding:18px 16px}header{padding:26px 16px 22px;margin-bottom:14px}
header h1{font-size:1.45rem;overflow-wrap:anywhere}.streams{grid-template-columns:1fr}th,td{padding-right:9px}
nav a{display:inline-block;margin:2px 14px 2px 0}.pair{grid-template-columns:1fr}main{padding:0 10px 40px}}
@media print{html{background:#fff}section{break-inside:avoid;border:0;padding:0}}
"""
