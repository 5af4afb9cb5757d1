package main

import (
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cache-extension/extension/internal/lambda/lambdatest"
	"cache-extension/extension/internal/source/awstest"
)

func TestLifecycle(t *testing.T) {
	w := newWorld(t, sample)
	w.seedSample()
	p := w.start()
	if got := w.lambda.WaitRegistered(); got.Name != "cache-extension" || !slices.Equal(got.Events, []string{"INVOKE", "SHUTDOWN"}) {
		t.Errorf("registered as %+v, want the base name of the executable, INVOKE and SHUTDOWN", got)
	}
	w.lambda.WaitNext(1)
	w.lambda.Invoke(time.Now().Add(3 * time.Second))
	w.lambda.WaitNext(2)
	w.lambda.Send(`{"eventType":"HICCUP","novelty":[1]}`)
	w.lambda.WaitNext(3)
	p.get("/secrets?name=secret_info").want(t, "after an unknown event", 200, "MySecret")
	w.lambda.Shutdown("a reason of tomorrow", time.Now().Add(2*time.Second))
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d after SHUTDOWN, want 0", code)
	}
	line := p.stderr.wait(t, "cache-extension stops")
	if !strings.Contains(line, "a reason of tomorrow") {
		t.Errorf("the summary line lacks the reason: %s", line)
	}
	if got := strings.Count(p.stderr.String(), "cache-extension stops"); got != 1 {
		t.Errorf("%d summary lines, want 1", got)
	}
}

func TestFaultyConfigurationIsToldWhole(t *testing.T) {
	w := newWorld(t, "ttl: 60\nparameterz: []\nparameters:\n  - nmae: x\n")
	w.env["CACHE_EXTENSION_INIT_STARTUP"] = "yes"
	p := w.start()
	told := w.lambda.WaitInitError()
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if told.Type != "Extension.ConfigInvalid" {
		t.Errorf("error type %q, want Extension.ConfigInvalid", told.Type)
	}
	for _, want := range []string{":1: ", ":2: ", ":4: ", `did you mean "parameters"?`, `did you mean "name"?`, "CACHE_EXTENSION_INIT_STARTUP"} {
		if !strings.Contains(told.Message, want) {
			t.Errorf("init/error lacks %q:\n%s", want, told.Message)
		}
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("standard error lacks %q:\n%s", want, p.stderr.String())
		}
	}
	if got, want := w.lambda.Log(), []string{"register", "init/error"}; !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

func TestUnreadableConfigurationFailsInit(t *testing.T) {
	w := newWorld(t, sample)
	for _, file := range []string{w.file + ".absent", t.TempDir()} {
		w := newWorld(t, sample)
		w.env["CACHE_EXTENSION_CONFIG"] = file
		p := w.start()
		told := w.lambda.WaitInitError()
		if code := p.wait(); code != 1 || told.Type != "Extension.ConfigInvalid" || !strings.Contains(told.Message, file) {
			t.Errorf("config %s: exit %d, told %+v", file, code, told)
		}
	}
}

func TestTakenPortFailsInit(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	w := newWorld(t, sample)
	w.env["CACHE_EXTENSION_PORT"] = port
	p := w.start()
	told := w.lambda.WaitInitError()
	if code := p.wait(); code != 1 || told.Type != "Extension.PortTaken" || !strings.Contains(told.Message, port) {
		t.Errorf("exit %d, told %+v; want 1, Extension.PortTaken and the port", code, told)
	}
}

func TestUnusableCABundleFailsInit(t *testing.T) {
	w := newWorld(t, sample)
	w.env["AWS_CA_BUNDLE"] = w.file
	p := w.start()
	told := w.lambda.WaitInitError()
	if code := p.wait(); code != 1 || !strings.Contains(told.Message, "AWS_CA_BUNDLE") {
		t.Errorf("exit %d, told %+v; want 1 and AWS_CA_BUNDLE", code, told)
	}
}

func TestRequiredEntryFailsInit(t *testing.T) {
	const config = "timeout: 200ms\nprefetch_timeout: 400ms\nsecrets:\n  - name: gone\n    required: true\n  - name: other\n"
	for what, fault := range map[string]awstest.Fault{
		"missing":        {},
		"denied":         {Code: "AccessDeniedException"},
		"has not landed": {Hang: true},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, config)
			if fault != (awstest.Fault{}) {
				w.aws.PutSecret("eu-west-1", "gone", awstest.Secret{Text: "x"})
				w.aws.Fail(awstest.Match{Name: "gone"}, fault)
			}
			p := w.start()
			told := w.lambda.WaitInitError()
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			for _, want := range []string{`secrets: "gone" is required: `, w.file + ":4"} {
				if !strings.Contains(told.Message, want) {
					t.Errorf("init/error lacks %q: %s", want, told.Message)
				}
			}
			for _, c := range w.aws.Calls() {
				if slices.Contains(c.Names, "other") {
					t.Error("without prefetch an entry that is not required was fetched")
				}
			}
		})
	}
}

func TestRequiredEntryIsAskedForAgain(t *testing.T) {
	w := newWorld(t, "secrets:\n  - name: s\n    required: true\n")
	w.aws.PutSecret("eu-west-1", "s", awstest.Secret{Text: "v"})
	w.env["AWS_MAX_ATTEMPTS"] = "1"
	w.aws.Fail(awstest.Match{Times: 2}, awstest.Fault{Code: "ThrottlingException"})
	p := w.start()
	w.lambda.WaitNext(1)
	p.get("/secrets?name=s").want(t, "required, and throttled at first", 200, "v")
	if got := w.aws.Count(""); got != 3 {
		t.Errorf("%d calls, want 3: two that were throttled and one that was not", got)
	}
}

func TestRequiredEntryNamesWhatAWSSaidLast(t *testing.T) {
	w := newWorld(t, "prefetch_timeout: 600ms\nsecrets:\n  - name: s\n    required: true\n")
	w.env["AWS_MAX_ATTEMPTS"] = "1"
	w.aws.Fail(awstest.Match{}, awstest.Fault{Code: "ThrottlingException"})
	p := w.start()
	if told := w.lambda.WaitInitError(); !strings.Contains(told.Message, "ThrottlingException") {
		t.Errorf("init/error %q, want what AWS said", told.Message)
	}
	p.wait()
	if strings.Contains(p.stderr.String(), "first readers") {
		t.Errorf("the log leaves to its first reader what is required:\n%s", p.stderr.String())
	}
}

func TestPrefetchThatRunsOutOfTimeSaysSo(t *testing.T) {
	w := newWorld(t, "prefetch: true\nprefetch_timeout: 100ms\nparameters:\n  - names: [a, b]\n")
	w.aws.Fail(awstest.Match{Times: 1}, awstest.Fault{Hang: true})
	for _, name := range []string{"a", "b"} {
		w.aws.PutParameter("eu-west-1", name, awstest.Parameter{Value: name, Type: "String"})
	}
	p := w.start()
	w.lambda.WaitNext(1)
	if line := p.stderr.wait(t, "prefetch_timeout"); !strings.Contains(line, `"entries":2`) {
		t.Errorf("the log says %s, want 2 entries left", line)
	}
	p.get("/parameters?name=a").want(t, "left to its first reader", 200, "a")
}

func TestSignalDuringServesPrefetchEndsOrderly(t *testing.T) {
	w := newWorld(t, "secrets:\n  - name: s\n    required: true\n")
	delete(w.env, "AWS_LAMBDA_RUNTIME_API")
	w.aws.Fail(awstest.Match{}, awstest.Fault{Hang: true})
	p := w.start("serve", w.file)
	await(t, "the fetch reaches AWS", func() bool { return w.aws.Count("") == 1 })
	p.stop()
	if code := p.wait(); code != 0 || strings.Contains(p.stderr.String(), "required") {
		t.Errorf("exit code %d, want 0 and no word of required entries:\n%s", code, p.stderr.String())
	}
}

func TestRequiredPathWithoutParametersFailsInit(t *testing.T) {
	w := newWorld(t, "parameters:\n  - path: /empty/\n    required: true\n")
	p := w.start()
	if told := w.lambda.WaitInitError(); !strings.Contains(told.Message, `"/empty/" is required: not found`) {
		t.Errorf("init/error %+v, want the path named as not found", told)
	}
	p.wait()

	w = newWorld(t, "parameters:\n  - path: /empty/\n")
	w.start().get("/parameters?name=/empty/").want(t, "a path without parameters", 200, "{}")
}

func TestPrefetchThatFailsIsLeftToTheFirstReader(t *testing.T) {
	w := newWorld(t, "parameters:\n  - names: [a, b, c]\nprefetch: true\n")
	for _, name := range []string{"a", "c"} {
		w.aws.PutParameter("eu-west-1", name, awstest.Parameter{Value: name, Type: "String"})
	}
	p := w.start()
	w.lambda.WaitNext(1)
	p.get("/parameters?name=b").want(t, "missing", 404, "missing")
	for _, name := range []string{"a", "c"} {
		p.get("/parameters?name="+name).want(t, name, 200, name)
	}
	if got := w.aws.Count(""); got != 1 {
		t.Errorf("%d calls, want the one of prefetch", got)
	}
}

func TestManagedInstances(t *testing.T) {
	for _, told := range []bool{true, false} {
		w := newWorld(t, sample)
		w.seedSample()
		w.lambda.RejectInvoke()
		if told {
			w.env["AWS_LAMBDA_INITIALIZATION_TYPE"] = "lambda-managed-instances"
		}
		p := w.start()
		if got := w.lambda.WaitRegistered(); !slices.Equal(got.Events, []string{"SHUTDOWN"}) {
			t.Errorf("registered for %v, want SHUTDOWN alone", got.Events)
		}
		w.lambda.WaitNext(1)
		p.get("/secrets?name=secret_info").want(t, "on a managed instance", 200, "MySecret")
		w.lambda.Shutdown("spindown", time.Now().Add(2*time.Second))
		if code := p.wait(); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		want := 2
		if told {
			want = 1
		}
		if got := slices.Index(w.lambda.Log(), "event/next"); got != want {
			t.Errorf("calls %q: want %d of register", w.lambda.Log(), want)
		}
	}
}

func TestSnapStartFetchesNothingBeforeTheFirstInvoke(t *testing.T) {
	w := newWorld(t, "prefetch: true\n"+strings.Replace(sample, "names: [secret_info]", "name: secret_info\n    required: true", 1))
	w.seedSample()
	w.env["AWS_LAMBDA_INITIALIZATION_TYPE"] = "snap-start"
	p := w.start()
	w.lambda.WaitNext(1)
	if got := w.aws.Count(""); got != 0 {
		t.Errorf("%d calls before the snapshot, want 0", got)
	}
	p.get("/secrets?name=secret_info").want(t, "asked for by the function's own init", 200, "MySecret")
	w.lambda.Invoke(time.Now().Add(3 * time.Second))
	w.lambda.WaitNext(2)
	calls := w.aws.Count("")
	for url, want := range sampleReads {
		p.get(url).want(t, url, 200, want)
	}
	if got := w.aws.Count(""); got != calls {
		t.Errorf("reads after the first invocation made %d calls, want 0", got-calls)
	}
}

func TestRuntimeAPIThatFailsEndsThroughExitError(t *testing.T) {
	for _, status := range []int{500, 403} {
		w := newWorld(t, sample)
		w.lambda.Fail(lambdatest.Next, 1, status, `{"errorType":"Extension.Gone","errorMessage":"gone"}`)
		p := w.start()
		told := w.lambda.WaitExitError()
		if code := p.wait(); code != 1 || !strings.Contains(told.Message, strconv.Itoa(status)) {
			t.Errorf("event/next %d: exit %d, told %+v; want 1 and the status", status, code, told)
		}
	}
}

func TestRuntimeAPIThatDropsIsTriedAgain(t *testing.T) {
	w := newWorld(t, sample)
	w.seedSample()
	w.lambda.Drop(lambdatest.Next, 2)
	p := w.start()
	p.get("/secrets?name=secret_info").want(t, "meanwhile", 200, "MySecret")
	w.lambda.Shutdown("spindown", time.Now().Add(2*time.Second))
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d after two dropped calls, want 0", code)
	}

	w = newWorld(t, sample)
	w.lambda.Drop(lambdatest.Next, 1000)
	p = w.start()
	w.lambda.WaitExitError()
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d when every call is dropped, want 1", code)
	}
	if got := len(w.lambda.Log()); got > 20 {
		t.Errorf("%d calls of a Runtime API that drops: a busy loop", got)
	}
}

func TestRegisterThatFailsIsTold(t *testing.T) {
	w := newWorld(t, sample)
	w.lambda.Fail(lambdatest.Register, 1, 500, `{"errorType":"Platform.Broken","errorMessage":"no"}`)
	p := w.start()
	if code := p.wait(); code != 1 || !strings.Contains(p.stderr.String(), "register: 500") {
		t.Errorf("exit %d, said %s; want 1 and the status", code, p.stderr.String())
	}
}

func TestSignalEndsOrderly(t *testing.T) {
	w := newWorld(t, sample)
	p := w.start()
	w.lambda.WaitNext(1)
	p.stop()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d after a signal, want 0", code)
	}
	p.stderr.wait(t, "cache-extension stops")
}

func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	w := newWorld(t, sample)
	w.seedSample()
	w.aws.Latency(300 * time.Millisecond)
	p := w.start()
	w.lambda.WaitNext(1)
	got := make(chan answer)
	go func() { got <- p.get("/secrets?name=secret_info") }()
	await(t, "the read reaches AWS", func() bool { return w.aws.Count("") == 1 })
	w.lambda.Shutdown("spindown", time.Now().Add(2*time.Second))
	(<-got).want(t, "under way at SHUTDOWN", 200, "MySecret")
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestShutdownKeepsItsDeadlineWithAReadThatHangs(t *testing.T) {
	w := newWorld(t, "timeout: 10s\n"+sample)
	w.seedSample()
	w.aws.Fail(awstest.Match{}, awstest.Fault{Hang: true})
	p := w.start()
	w.lambda.WaitNext(1)
	url := p.url("/secrets?name=secret_info")
	go func() {
		if conn, err := net.Dial("tcp", strings.TrimPrefix(strings.Split(url, "/secrets")[0], "http://")); err == nil {
			conn.Write([]byte("GET /secrets?name=secret_info HTTP/1.1\r\nHost: localhost\r\n\r\n"))
			buf := make([]byte, 1)
			conn.Read(buf)
			conn.Close()
		}
	}()
	await(t, "the read reaches AWS", func() bool { return w.aws.Count("") == 1 })
	began := time.Now()
	w.lambda.Shutdown("timeout", time.Now().Add(500*time.Millisecond))
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("SHUTDOWN took %v: it waited for the read", took)
	}
}

func TestInvokeRefreshesWhatWasReadAndIsDue(t *testing.T) {
	w := newWorld(t, "ttl: 1ns\nprefetch: true\nparameters:\n  - names: [read, unread]\n")
	for _, name := range []string{"read", "unread"} {
		w.aws.PutParameter("eu-west-1", name, awstest.Parameter{Value: name, Type: "String"})
	}
	p := w.start()
	w.lambda.WaitNext(1)
	p.get("/parameters?name=read")
	w.aws.Reset()
	w.lambda.Invoke(time.Now().Add(3 * time.Second))
	w.lambda.WaitNext(2)
	calls := w.aws.Calls()
	if len(calls) != 1 || !slices.Equal(calls[0].Names, []string{"read"}) {
		t.Errorf("INVOKE asked for %+v, want read alone", calls)
	}
}

func TestInvokeHoldsNextNoLongerThanASecond(t *testing.T) {
	w := newWorld(t, "ttl: 1ns\ntimeout: 15s\nparameters:\n  - name: slow\n")
	w.aws.PutParameter("eu-west-1", "slow", awstest.Parameter{Value: "v", Type: "String"})
	p := w.start()
	w.lambda.WaitNext(1)
	p.get("/parameters?name=slow")
	w.aws.Fail(awstest.Match{}, awstest.Fault{Hang: true})
	began := time.Now()
	w.lambda.Invoke(time.Now().Add(time.Hour))
	w.lambda.WaitNext(2)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("event/next was held for %v by a fetch that hangs", took)
	}
}

func TestLeftIsBoundedAndByTheWallClock(t *testing.T) {
	for _, c := range []struct {
		name     string
		deadline time.Time
		want     time.Duration
	}{
		{"no deadline", time.Time{}, time.Second},
		{"far away, or a clock set back", time.Now().Add(1000 * time.Hour), time.Second},
		{"past, or a clock set forward", time.Now().Add(-time.Hour), 0},
	} {
		if got := left(c.deadline, time.Second); got != c.want {
			t.Errorf("%s: left = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPortIsOnTheLoopbackInterfaceAlone(t *testing.T) {
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Skip("no /proc/net/tcp")
	}
	w := newWorld(t, sample)
	p := w.start()
	url := p.url("")
	port, _ := strconv.Atoi(url[strings.LastIndex(url, ":")+1:])
	suffix := ":" + strings.ToUpper(strconv.FormatInt(int64(port)+0x10000, 16)[1:])
	for file, loopback := range map[string]string{"/proc/net/tcp": "0100007F", "/proc/net/tcp6": "00000000000000000000000001000000"} {
		table, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) > 3 && f[3] == "0A" && strings.HasSuffix(f[1], suffix) && f[1] != loopback+suffix {
				t.Errorf("%s: listens on %s", file, f[1])
			}
		}
	}
}
