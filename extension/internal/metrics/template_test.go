package metrics_test

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"

	"gopkg.in/yaml.v3"

	"cache-extension/extension/internal/config"
	"cache-extension/extension/internal/metrics"
	"cache-extension/extension/internal/source/awstest"
)

// stack is what these tests read of the SAM template.
type stack struct {
	Resources map[string]struct {
		Type       string
		Condition  string
		Properties struct {
			DashboardBody string
			Metrics       []struct {
				Expression string
				MetricStat struct {
					Metric struct {
						Namespace, MetricName string
						Dimensions            []struct{ Name, Value string }
					}
				}
			}
		}
	}
}

func readTemplate(t *testing.T) stack {
	t.Helper()
	text, err := os.ReadFile("../../../SAM/template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// By way of JSON, which needs no word of how each name is spelt.
	var document any
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var s stack
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// metric is one metric of CloudWatch, but for the function that it is of.
type metric struct{ namespace, name, cachetype string }

// everyMetric returns what the lines for all cachetypes make.
func everyMetric(t *testing.T) (all []metric) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		set := newCaches(t, awstest.New(t), "secrets: [{name: s}]\n")
		var out bytes.Buffer
		w := metrics.New(&out, "Checkout", set.ByKind())
		read(t, set, "secrets", "s")
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		var line struct {
			AWS struct {
				CloudWatchMetrics []struct {
					Namespace string
					Metrics   []struct{ Name string }
				}
			} `json:"_aws"`
		}
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		for _, d := range line.AWS.CloudWatchMetrics {
			for _, m := range d.Metrics {
				for _, k := range set.Kinds() {
					all = append(all, metric{d.Namespace, m.Name, k.Name})
				}
			}
		}
	})
	return all
}

func TestDashboardDrawsEveryMetric(t *testing.T) {
	resource := readTemplate(t).Resources["Dashboard"]
	if resource.Condition != "IsMonitored" {
		t.Errorf("Dashboard has the condition %q, want IsMonitored", resource.Condition)
	}
	variable := regexp.MustCompile(`\$\{[^}]*\}`)
	var body struct {
		Widgets []struct {
			Type                string
			X, Y, Width, Height int
			Properties          struct {
				Region  string
				Metrics [][]any
			}
		}
	}
	if err := json.Unmarshal([]byte(variable.ReplaceAllString(resource.Properties.DashboardBody, "x")), &body); err != nil {
		t.Fatalf("the dashboard: %v", err)
	}
	var drawn []metric
	for i, w := range body.Widgets {
		if w.X+w.Width > 24 {
			t.Errorf("widget %d ends at column %d, beyond 24", i, w.X+w.Width)
		}
		for _, other := range body.Widgets[:i] {
			if w.X < other.X+other.Width && other.X < w.X+w.Width && w.Y < other.Y+other.Height && other.Y < w.Y+w.Height {
				t.Errorf("widget %d lies over another", i)
			}
		}
		for _, m := range w.Properties.Metrics {
			if len(m) == 1 {
				continue // an expression
			}
			// Namespace, name, dimensions, how it is drawn.
			if len(m) != 7 || m[2] != "FunctionName" || m[4] != "CacheType" {
				t.Errorf("widget %d draws %v", i, m)
				continue
			}
			drawn = append(drawn, metric{m[0].(string), m[1].(string), m[5].(string)})
		}
	}
	all := everyMetric(t)
	for _, m := range drawn {
		if !slices.Contains(all, m) {
			t.Errorf("the dashboard draws %+v, which is never written", m)
		}
	}
	for _, m := range all {
		if !slices.Contains(drawn, m) {
			t.Errorf("the dashboard does not draw %+v, which is paid for", m)
		}
	}
}

func TestAlarmsWatchEveryCachetype(t *testing.T) {
	all := everyMetric(t)
	resources := readTemplate(t).Resources
	for alarm, name := range map[string]string{"StaleServed": "Stale", "ReadsFailing": "Errors"} {
		r := resources[alarm]
		if r.Type != "AWS::CloudWatch::Alarm" || r.Condition != "IsMonitored" {
			t.Errorf("%s is a %s with the condition %q", alarm, r.Type, r.Condition)
		}
		var got, want []metric
		for _, q := range r.Properties.Metrics {
			if q.Expression != "" {
				continue
			}
			m := q.MetricStat.Metric
			if len(m.Dimensions) != 2 || m.Dimensions[0].Name != "FunctionName" || m.Dimensions[1].Name != "CacheType" {
				t.Errorf("%s has the dimensions %v", alarm, m.Dimensions)
				continue
			}
			got = append(got, metric{m.Namespace, m.MetricName, m.Dimensions[1].Value})
		}
		for _, m := range all {
			if m.name == name {
				want = append(want, m)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s watches %v, want %v", alarm, got, want)
		}
	}
}

func TestSampleIsMonitoredWhenTheTemplateSaysSo(t *testing.T) {
	text, err := os.ReadFile("../../../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		input []string
		want  bool
	}{
		{"deployed with Monitoring=true", []string{"METRICS=true"}, true},
		{"deployed without", []string{"METRICS=false"}, false},
		{"not deployed", nil, false},
	} {
		cfg, err := config.Parse("config.yaml", text, config.Options{Env: append(tt.input, "AWS_REGION="+region)})
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Metrics != tt.want {
			t.Errorf("%s: metrics = %t, want %t", tt.name, cfg.Metrics, tt.want)
		}
	}
}
