package page

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cache-extension/e2e/browser"
	"cache-extension/extension/internal/cache"
)

// tools is where make test keeps what it installs.
const tools = "../../../.tools"

// TestInABrowser tries the page as people see it. Each part has a tab of its own.
func TestInABrowser(t *testing.T) {
	b := browser.Start(t, tools, "--host-resolver-rules=MAP evil.test 127.0.0.1")
	for _, tt := range []struct {
		name string
		try  func(t *testing.T, p *browser.Page)
	}{
		{"states", states},
		{"live", live},
		{"paused while hidden", pausedWhileHidden},
		{"connection lost", connectionLost},
		{"token", asksForTheToken},
		{"names are text", namesAreText},
		{"policy", policyIsInForce},
		{"other origins", otherOriginsReadNothing},
		{"keyboard", keyboard},
		{"filter", filter},
		{"sort", sorts},
		{"narrow", narrow},
		{"contrast", contrast},
		{"screenshots", screenshots},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.try(t, b.Page(t)) })
	}
}

// wantQuiet fails the test for anything that went to the console.
func wantQuiet(t *testing.T, p *browser.Page) {
	t.Helper()
	if got := p.Problems(); len(got) > 0 {
		t.Errorf("the console says:\n%s", strings.Join(got, "\n"))
	}
}

// open opens the page and waits for its first answer.
func (s *site) open(p *browser.Page) {
	s.t.Helper()
	p.Open(s.url("/"))
	p.Want(`document.getElementById("live").textContent`, "live")
}

// row is the expression for what the row of an entry says, its cells parted by "|".
func row(name string) string {
	return fmt.Sprintf(`(() => {
		const said = (cell) => [...cell.querySelectorAll("*")].filter((e) => !e.children.length && e.textContent).map((e) => e.textContent).join("; ") || cell.textContent.trim();
		const row = [...document.querySelectorAll("tbody tr")].find((tr) => tr.querySelector(".name").textContent === %s);
		return row ? [...row.cells].slice(1).map(said).join("|").replaceAll("\u00a0", " ") : "no such row";
	})()`, strconv.Quote(name))
}

// names is the expression for the entries that are shown, in their order.
const names = `[...document.querySelectorAll("tbody .name")].map((e) => e.textContent).join(" ")`

func states(t *testing.T, p *browser.Page) {
	s := busy(t).serve("")
	s.open(p)
	const arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/payments/api-key-AbCdEf"
	for _, tt := range []struct{ name, want string }{
		{"/app/prod/db-url", "fresh|27 s of 5 min|84 B|12,406|1; 48 ms|9 min 55 s; 12,405 calls|"},
		{"/app/prod/flags/", "stale; good for 43 min 42 s if AWS fails|21 min 17 s of 5 min|2.2 kB|312|2; 130 ms|40.4 s; 310 calls|timeout; 3 min 17 s ago"},
		{"/app/prod/old-name", "not read yet|||0|0||"},
		{"/app/prod/rate", "uncached; ttl is 0|3 min 17 s|12 B|3|3; 24 ms||"},
		{"github-webhook", "denied|||6|1; 35 ms|5 calls|denied; 3 min 17 s ago"},
		{"signing-key", "failed|||1|1||upstream; 3 min 17 s ago"},
		{"Users-acme-42", "fresh|3 min 17 s of 5 min|640 B|2,047|1; 8.0 ms|16.4 s; 2,046 calls|"},
		{"Users-acme-43", "missing|||14|1; 11 ms|13 calls|missing; 3 min 17 s ago"},
		{"Settings-global", "stale; fetching, good for 43 min 42 s if AWS fails|21 min 17 s of 5 min|90 B|52|2; 9.0 ms|459 ms; 50 calls|"},
	} {
		p.Want(row(tt.name), tt.want)
	}
	// How long it is held off is random.
	held := row(arn) + `.replace(/in \d\d s/, "in N s")`
	p.Want(held, "held off; AWS is asked again in N s, the old value stands in|21 min 17 s of 5 min|1.8 kB|967|11; 62 ms|59.9 s; 956 calls|throttled; 0 s ago")
	for _, tt := range []struct{ id, want string }{
		{"source", "0.1.0, config.yaml"}, {"ratio", "99.8 %"}, {"spared", "15,785"}, {"saved", "11 min 52 s"}, {"count", ""},
	} {
		p.Want(fmt.Sprintf(`document.getElementById(%q).textContent.replaceAll("\u00a0", " ")`, tt.id), tt.want)
	}
	p.Want(`/^2\sh [56]\smin$/.test(document.getElementById("uptime").textContent)`, "true")
	// A bar is as long as its value is old, and red, green or amber is not all that it says.
	bar := func(name string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("tbody tr")].find((tr) => tr.querySelector(".name").textContent === %q).querySelector(".bar i").style.width`, name)
	}
	p.Want(bar("/app/prod/db-url"), "9%")
	p.Want(bar("/app/prod/flags/"), "100%")
	p.Want(`document.documentElement.outerHTML.includes("`+secret+`")`, "false")
	wantQuiet(t, p)
}

func live(t *testing.T, p *browser.Page) {
	s := newWorld(t, "parameters", "a").serve("")
	s.open(p)
	p.Want(row("a"), "not read yet|||0|0||")
	p.Get(`document.querySelector("tbody tr").id = "same"`)
	s.aws["parameters"].set("a", reply{size: 10})
	s.read("parameters", "a", 3)
	p.Want(row("a"), "fresh|0 s of 5 min|10 B|3|1|2 calls|")
	s.clock.pass(time.Minute)
	p.Want(row("a"), "fresh|1 min of 5 min|10 B|3|1|2 calls|")
	p.Want(`document.querySelector("tbody tr").id`, "same") // a selection in it would last
	wantQuiet(t, p)
}

func pausedWhileHidden(t *testing.T, p *browser.Page) {
	s := newWorld(t, "parameters", "a").serve("")
	s.open(p)
	const hide = `Object.defineProperty(document, "hidden", { get: () => %t, configurable: true }); document.dispatchEvent(new Event("visibilitychange")); 0`
	p.Get(fmt.Sprintf(hide, true))
	const idle = `new Promise((go) => setTimeout(go, 1500))`
	p.Get(`new Promise((go) => setTimeout(go, 300))`) // one that was under way may land
	before := s.asked.Load()
	p.Get(idle)
	if got := s.asked.Load(); got != before {
		t.Errorf("a hidden page asked %d times more", got-before)
	}
	p.Get(fmt.Sprintf(hide, false))
	p.Get(idle)
	if got := s.asked.Load() - before; got < 2 || got > 3 {
		t.Errorf("within 1.5 s of being shown again the page asked %d times, want at once and each second", got)
	}
}

func connectionLost(t *testing.T, p *browser.Page) {
	s := newWorld(t, "parameters", "a").serve("")
	s.open(p)
	s.stop(s.server)
	const said = `document.getElementById("live").textContent.replace(/\d+:\d\d:\d\d.*?:/, "TIME:")`
	p.Want(said, "connection lost at TIME: is cachectl serve still running? Trying again.")
	p.Want(`document.querySelector("[role=status]").id`, "live") // so it is read out
	p.Want(row("a"), "not read yet|||0|0||")
	s.start(s.port, "")
	p.Want(said, "live")
}

func asksForTheToken(t *testing.T, p *browser.Page) {
	s := busy(t).serve("s3ss10n")
	p.Open(s.url("/"))
	p.Want(`document.activeElement.id`, "token")
	p.Want(`document.getElementById("live").textContent`, "a token is asked for")
	p.Want(`document.getElementById("why").textContent.includes("AWS_SESSION_TOKEN")`, "true")
	p.Want(names, "")
	p.Type("wrong")
	p.Press("Enter", false)
	p.Want(`document.getElementById("live").textContent`, "that token is not the one")
	p.Want(names, "")
	s.stop(s.server)
	p.Type("wrong")
	p.Press("Enter", false)
	p.Want(`document.getElementById("live").textContent.startsWith("connection lost")`, "true")
	s.start(s.port, "s3ss10n")
	p.Want(`document.getElementById("live").textContent`, "that token is not the one")
	p.Type("s3ss10n")
	p.Press("Enter", false)
	p.Want(`document.getElementById("live").textContent`, "live")
	p.Want(`document.getElementById("locked").hidden`, "true")
	p.Want(row("signing-key"), "failed|||1|1||upstream; 3 min 17 s ago")
	p.Want(`document.documentElement.outerHTML.includes("s3ss10n") || document.getElementById("token").value !== "" || localStorage.length > 0`, "false")
}

// Names are the user's data, and a parameter may have any.
func namesAreText(t *testing.T, p *browser.Page) {
	const name = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`
	s := newWorld(t, "parameters", name).serve("")
	s.open(p)
	p.Want(`document.querySelector("tbody .name").textContent`, name)
	p.Want(`document.querySelectorAll("tbody img, tbody script").length`, "0")
	p.Want(`window.hacked ?? "not"`, "not")
	wantQuiet(t, p)
}

// Even a fault in our own script could not run what is not ours.
func policyIsInForce(t *testing.T, p *browser.Page) {
	s := newWorld(t, "parameters", "a").serve("")
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the page asked another server") }))
	defer other.Close()
	s.open(p)
	wantQuiet(t, p)
	for _, tt := range []struct{ name, input, want string }{
		{"script element", `(() => {
			const e = document.createElement("script");
			e.append("window.hacked = 1");
			document.body.append(e);
			return window.hacked ?? "did not run";
		})()`, "did not run"},
		{"event attribute", `(() => {
			const e = document.createElement("button");
			try { e.setAttribute("onclick", "window.hacked = 1") } catch { return "did not run" }
			document.body.append(e);
			e.click();
			return window.hacked ?? "did not run";
		})()`, "did not run"},
		{"HTML", `(() => { try { document.body.innerHTML = "<b>" } catch (e) { return e.name } })()`, "TypeError"},
		{"eval", `(() => { try { return (0, eval)("1") } catch (e) { return e.name } })()`, "EvalError"},
		{"style element", `(() => {
			const e = document.createElement("style");
			e.append("body { display: none }");
			document.head.append(e);
			return getComputedStyle(document.body).display;
		})()`, "block"},
		{"another server", `fetch("` + other.URL + `", { mode: "no-cors" }).then(() => "came", (e) => e.name)`, "TypeError"},
		{"picture", `new Promise((go) => {
			const e = new Image();
			e.onload = () => go("came");
			e.onerror = () => go("refused");
			e.src = "` + other.URL + `/x.png";
		})`, "refused"},
		{"form", `(() => {
			const e = document.createElement("form");
			e.action = "` + other.URL + `";
			document.body.append(e);
			return new Promise((go) => {
				document.addEventListener("securitypolicyviolation", (v) => go(v.effectiveDirective));
				e.submit();
			});
		})()`, "form-action"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.Get(tt.input); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// What a page of another origin tries: each gives what it could read of url.
const attempts = `(async (url) => {
	const read = async (options) => {
		try {
			const answer = await fetch(url, options);
			return answer.type + " " + await answer.text();
		} catch (e) {
			return e.name;
		}
	};
	const framed = () => new Promise((go) => {
		const e = document.createElement("iframe");
		e.onload = () => {
			try { go(e.contentDocument.body.textContent || "empty") } catch (e) { go(e.name) }
		};
		e.src = url;
		document.body.append(e);
		setTimeout(() => go(e.contentDocument === null ? "none" : e.contentDocument.body?.textContent ?? "none"), 2000);
	});
	const script = () => new Promise((go) => {
		const e = document.createElement("script");
		e.onload = () => go("ran");
		e.onerror = () => go("error");
		e.src = url;
		document.body.append(e);
	});
	const opened = async () => {
		const w = window.open(url);
		try {
			while (!w.closed && w.location.href === "about:blank") await new Promise((go) => setTimeout(go, 10)); // until it is there
			return w.document.body.textContent || "none";
		} catch (e) {
			return e.name;
		} finally {
			w.close();
		}
	};
	return [await read({}), await read({ mode: "no-cors" }), await read({ mode: "no-cors", method: "POST" }), await framed(), await script(), await opened()].join(" | ");
})`

func otherOriginsReadNothing(t *testing.T, p *browser.Page) {
	s := newWorld(t, "parameters", "a").serve("")
	s.aws["parameters"].set("a", reply{size: 10})
	s.read("parameters", "a", 1)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>another</title><body>")
	}))
	defer other.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(other.URL, "http://"), ":")

	s.open(p) // from here all can be read, or the rest would prove nothing
	p.Want(`fetch("/parameters?name=a").then((answer) => answer.text())`, fmt.Sprintf("%-10s", secret))

	// The browser keeps from a page what another origin answers; here it is not even answered.
	reads := func() int64 { return s.asked.Load() + s.kinds[1].Cache.Snapshot()[0].Reads }
	p.Open(other.URL)
	before := reads()
	for _, origin := range []string{"http://localhost:" + port, "http://127.0.0.1:" + port, "http://evil.test:" + port} {
		for _, path := range []string{"/", "/entries", "/parameters?name=a"} {
			t.Run(origin+path, func(t *testing.T) {
				p.Open(origin)
				const want = "TypeError | opaque  | opaque  | TypeError | error | SecurityError"
				if got := p.Get(attempts + `("` + s.url(path) + `")`); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		}
	}

	// A DNS name of an attacker that leads here: same origin to the browser, and so for the guard to refuse.
	p.Open(fmt.Sprintf("http://evil.test:%d/", s.port))
	for _, path := range []string{"/", "/entries", "/stats", "/parameters?name=a"} {
		p.Want(`fetch("`+path+`").then(async (answer) => answer.status + " " + (await answer.json()).code)`, "403 forbidden")
	}
	if got := reads() - before; got > 0 {
		t.Errorf("%d requests of other origins were answered", got)
	}
}

func keyboard(t *testing.T, p *browser.Page) {
	s := newWorld(t, "parameters", "b", "parameters", "a").serve("")
	s.open(p)
	const focus = `document.activeElement.id || document.activeElement.textContent`
	order := []string{"filter", "Entry", "State", "Age", "Size", "Reads", "Fetches", "Saved", "Last error"}
	for _, want := range order {
		p.Press("Tab", false)
		p.Want(focus, want)
		p.Want(`getComputedStyle(document.activeElement).outlineStyle`, "solid") // it can be seen where one is
	}
	for range len(order) - 2 {
		p.Press("Tab", true)
	}
	p.Want(focus, "Entry")
	p.Press("Enter", false)
	p.Want(names, "a b")
	wantQuiet(t, p)
}

func filter(t *testing.T, p *browser.Page) {
	s := busy(t).serve("")
	s.open(p)
	p.Want(`document.getElementById("none").hidden`, "true")
	p.Get(`document.getElementById("filter").focus()`)
	p.Type("Secrets ")
	p.Want(`document.getElementById("count").textContent`, "3 of 10")
	p.Type("denied")
	p.Want(names, "github-webhook")
	p.Type("x")
	p.Want(names, "")
	p.Want(`document.getElementById("none").textContent`, "No entry matches the filter.")
	p.Press("Enter", false)
	p.Want(`location.search`, "") // nothing is sent anywhere
	wantQuiet(t, p)
}

func sorts(t *testing.T, p *browser.Page) {
	w := newWorld(t, "parameters", "b", "parameters", "c", "parameters", "a")
	w.aws["parameters"].set("a", reply{size: 3})
	w.aws["parameters"].set("b", reply{size: 200})
	w.aws["parameters"].set("c", reply{err: cache.ErrDenied})
	w.read("parameters", "c", 1)
	w.read("parameters", "b", 1)
	w.clock.pass(time.Second)
	w.read("parameters", "a", 5)
	s := w.serve("")
	s.open(p)
	p.Want(names, "b c a")
	for _, tt := range []struct{ name, rising, falling string }{
		{"name", "a b c", "c b a"},
		{"status", "c b a", "b a c"},
		{"age", "c a b", "b a c"},
		{"size", "c a b", "b a c"},
		{"reads", "b c a", "a b c"},
		{"failure", "c b a", "b a c"},
	} {
		for _, step := range []struct{ want, sort string }{{tt.rising, "ascending"}, {tt.falling, "descending"}, {"b c a", ""}} {
			p.Get(`document.querySelector("[data-sort=` + tt.name + `]").click()`)
			p.Want(names, step.want)
			p.Want(`document.querySelector("[data-sort=`+tt.name+`]").parentElement.ariaSort ?? ""`, step.sort)
		}
	}
	wantQuiet(t, p)
}

// The narrowest phone, and the narrowest window that gets a table.
func narrow(t *testing.T, p *browser.Page) {
	s := busy(t).serve("")
	for _, width := range []int{320, 961} {
		p.Size(width, 640)
		s.open(p)
		p.Want(`document.querySelectorAll("tbody tr").length`, "10")
		p.Want(`document.scrollingElement.scrollWidth`, strconv.Itoa(width))
		p.Want(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML).join("\n")`, "")
		p.Want(`[...document.querySelectorAll("button, input")].filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML).join("\n")`, "")
	}
	wantQuiet(t, p)
}

// contrast is the lowest of all texts that are shown, as WCAG 2 computes it: AA asks for 4.5.
func contrast(t *testing.T, p *browser.Page) {
	s := busy(t).serve("")
	for _, scheme := range []string{"light", "dark"} {
		p.Scheme(scheme)
		s.open(p)
		p.Want(`matchMedia("(prefers-color-scheme: dark)").matches`, strconv.FormatBool(scheme == "dark"))
		p.Want(`document.querySelectorAll("tbody tr").length`, "10")
		p.Want(`(() => {
			const channels = (color) => color.match(/[\d.]+/g).map(Number);
			const light = (color) => {
				const [r, g, b] = channels(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
				return 0.2126 * r + 0.7152 * g + 0.0722 * b;
			};
			const behind = (e) => {
				const color = getComputedStyle(e).backgroundColor;
				return channels(color)[3] === 0 ? behind(e.parentElement) : color;
			};
			return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).filter((e) => {
				const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a);
				return (a + 0.05) / (b + 0.05) < 4.5;
			}).map((e) => e.textContent).join("\n");
		})()`, "")
	}
}

// screenshots writes the pictures of docs/status-page.md with UPDATE_GOLDEN=1, and else looks whether they are there: what
// is on them depends on the fonts of the machine.
func screenshots(t *testing.T, p *browser.Page) {
	s := busy(t).serve("")
	for _, tt := range []struct {
		name, scheme  string
		width, height int
	}{
		{"light", "light", 1080, 960},
		{"dark", "dark", 1080, 960},
		{"phone", "light", 360, 740},
	} {
		file := filepath.Join("../../../docs", "status-page-"+tt.name+".png")
		if os.Getenv("UPDATE_GOLDEN") == "1" {
			p.Size(tt.width, tt.height)
			p.Scheme(tt.scheme)
			s.open(p)
			p.Want(`document.querySelectorAll("tbody tr").length`, "10")
			if err := os.WriteFile(file, p.Screenshot(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%v: make it with UPDATE_GOLDEN=1", err)
		}
		shot, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil || shot.Width != tt.width || shot.Height != tt.height || len(data) > 200_000 {
			t.Errorf("%s: %d by %d pixels, %d bytes, %v, want %d by %d in at most 200,000 bytes", file, shot.Width, shot.Height, len(data), err, tt.width, tt.height)
		}
	}
}
