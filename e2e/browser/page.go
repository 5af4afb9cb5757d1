package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Page is one tab. Its methods end the test where the browser fails.
type Page struct {
	t       testing.TB
	b       *Browser
	session string

	loaded   chan struct{} // told once a document has loaded
	problems []string      // guarded by Browser.mu
}

// patience is how long a page may take for anything.
const patience = 30 * time.Second

// Page opens an empty tab, which is closed with the test.
func (b *Browser) Page(t testing.TB) *Page {
	t.Helper()
	p := &Page{t: t, b: b, loaded: make(chan struct{}, 1)}
	var target struct{ TargetID string }
	p.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	p.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.call(ctx, "", "Target.closeTarget", map[string]any{"targetId": target.TargetID}, nil); err != nil {
			t.Error(err)
		}
	})
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		p.call(domain+".enable", nil, nil)
	}
	return p
}

func (p *Page) call(method string, params map[string]any, result any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if err := p.b.call(ctx, p.session, method, params, result); err != nil {
		p.t.Fatal(err)
	}
}

// told takes note of an event. b.mu is held.
func (p *Page) told(m message) {
	var event struct {
		Type   string // of a console call
		Args   []struct{ Value, Description any }
		Entry  struct{ Level, Text, URL string } // of the log
		Thrown struct {
			Exception struct{ Description string }
		} `json:"exceptionDetails"`
	}
	if err := json.Unmarshal(m.Params, &event); err != nil {
		p.problems = append(p.problems, err.Error())
		return
	}
	switch m.Method {
	case "Page.loadEventFired":
		select {
		case p.loaded <- struct{}{}:
		default:
		}
	case "Runtime.exceptionThrown":
		p.problems = append(p.problems, event.Thrown.Exception.Description)
	case "Runtime.consoleAPICalled":
		if event.Type != "log" {
			p.problems = append(p.problems, fmt.Sprint("console.", event.Type, event.Args))
		}
	case "Log.entryAdded":
		if event.Entry.Level != "verbose" {
			p.problems = append(p.problems, strings.TrimSpace(event.Entry.Text+" "+event.Entry.URL))
		}
	}
}

// Problems returns what went to the console since the page was opened, but for plain log lines: errors, warnings,
// exceptions, refused connections.
func (p *Page) Problems() []string {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return slices.Clone(p.problems)
}

// Open goes to url and waits until all of it has loaded.
func (p *Page) Open(url string) {
	p.t.Helper()
	select { // of the document before
	case <-p.loaded:
	default:
	}
	var went struct{ ErrorText string }
	p.call("Page.navigate", map[string]any{"url": url}, &went)
	if went.ErrorText != "" {
		p.t.Fatalf("%s: %s", url, went.ErrorText)
	}
	select {
	case <-p.loaded:
	case <-time.After(patience):
		p.t.Fatalf("%s has not loaded within %v", url, patience)
	}
}

// Get evaluates an expression in the page as if somebody had clicked, waits if it is a promise, and returns its value; an
// object as its JSON.
func (p *Page) Get(expression string) string {
	p.t.Helper()
	var out struct {
		Result    struct{ Value any }
		Exception *struct {
			Text      string
			Exception struct{ Description string }
		} `json:"exceptionDetails"`
	}
	p.call("Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true, "allowUnsafeEvalBlockedByCSP": false, "userGesture": true,
	}, &out)
	if e := out.Exception; e != nil {
		p.t.Fatalf("%s\n%s %s", expression, e.Text, e.Exception.Description)
	}
	if s, ok := out.Result.Value.(string); ok {
		return s
	}
	text, err := json.Marshal(out.Result.Value)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// Want evaluates an expression in the page, again and again until its value is want; it ends the test when that takes too
// long.
func (p *Page) Want(expression, want string) {
	p.t.Helper()
	wanted, err := json.Marshal(want)
	if err != nil {
		p.t.Fatal(err)
	}
	got := p.Get(fmt.Sprintf(`(async () => {
		const end = Date.now() + %d;
		for (;;) {
			const got = await (%s);
			const text = typeof got === "string" ? got : JSON.stringify(got) ?? "null";
			if (text === %s || Date.now() > end) return text;
			await new Promise((go) => setTimeout(go, 20));
		}
	})()`, (patience / 3).Milliseconds(), expression, wanted))
	if got != want {
		p.t.Fatalf("%s\ngot  %s\nwant %s", expression, got, want)
	}
}

// keys are the keys that a test can press: their name in the DOM, the number Windows gives them, and the text they type.
var keys = map[string]struct {
	code int
	text string
}{"Tab": {9, ""}, "Enter": {13, "\r"}}

// Press presses a key, or with shift that and the key.
func (p *Page) Press(key string, shift bool) {
	p.t.Helper()
	k, ok := keys[key]
	if !ok {
		p.t.Fatalf("Press(%q): no such key", key)
	}
	params := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": k.code, "text": k.text}
	if shift {
		params["modifiers"] = 8
	}
	p.call("Input.dispatchKeyEvent", params, nil)
	params["type"] = "keyUp"
	p.call("Input.dispatchKeyEvent", params, nil)
}

// Type types text where the focus is.
func (p *Page) Type(text string) {
	p.t.Helper()
	p.call("Input.insertText", map[string]any{"text": text}, nil)
}

// Scheme makes the page prefer a colour scheme: light or dark.
func (p *Page) Scheme(name string) {
	p.t.Helper()
	p.call("Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": name}},
	}, nil)
}

// Size makes the window so many pixels wide and high.
func (p *Page) Size(width, height int) {
	p.t.Helper()
	p.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
	}, nil)
}

// Screenshot returns what the window shows, as PNG.
func (p *Page) Screenshot() []byte {
	p.t.Helper()
	var shot struct{ Data []byte }
	p.call("Page.captureScreenshot", map[string]any{"format": "png", "optimizeForSpeed": false}, &shot)
	return shot.Data
}
