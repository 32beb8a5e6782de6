// Package monitoring holds what is made of the metrics to the metrics that there are: the document, the alert rules and the dashboard.
package monitoring

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/client"
	"github.com/kaizengarden/moray/core/cluster"
	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/reconcile"
	"github.com/kaizengarden/moray/core/server"
	"github.com/kaizengarden/moray/core/server/servertest"
	"github.com/kaizengarden/moray/hooks"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// described notes the names of what is registered: metrics by bucket have no series before there is something to say of one.
type described map[string]bool

var fqName = regexp.MustCompile(`fqName: "([^"]*)"`)

func (d described) Register(c prometheus.Collector) error {
	all := make(chan *prometheus.Desc)
	go func() {
		c.Describe(all)
		close(all)
	}()
	for desc := range all {
		d[fqName.FindStringSubmatch(desc.String())[1]] = true
	}
	return nil
}

func (d described) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		d.Register(c) //nolint:errcheck // because it returns none
	}
}

func (d described) Unregister(prometheus.Collector) bool { return false }

// page is the page of metrics of a server with a plugin and definitions of buckets.
func page(t *testing.T) string {
	t.Helper()
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{
		More: fmt.Sprintf(`"reconcile":{"directory":%q,"mode":"check"}`, t.TempDir()),
		Hooks: func(s server.HookSettings) (server.Hooks, error) {
			return hooks.New(hooks.Config{
				MessageBytes: s.MessageBytes, Log: s.Log, Metrics: s.Metrics,
				Plugins: []hooks.PluginConfig{{Name: "p", Command: "/bin/false", Concurrency: 1}},
			})
		},
	})
	c := client.New(client.Config{Addresses: []string{s.Addr}})
	defer c.Close()
	if _, err := c.GetObject(t.Context(), "none", "k", nil); err == nil {
		t.Fatal("there is an object in no bucket")
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text := fetch(t, s.Monitor)
		if strings.Contains(text, "\nmoray_plugin_restarts_total{") && strings.Contains(text, "\nmoray_reconcile_total{") {
			return text
		}
		if time.Now().After(deadline) {
			t.Fatalf("the page never has everything:\n%s", text)
		}
	}
}

func fetch(t *testing.T, address string) string {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names are those of all metrics that a server can have: those of a page, and those that it lacks for want of a bucket or a cluster.
func names(t *testing.T, page string) map[string]bool {
	t.Helper()
	all := described{}
	all.MustRegister(cluster.Collector(&cluster.Static{}))
	reconcile.NewMetrics(all)
	reconcile.NewReindexMetrics(all)
	_, err := hooks.New(hooks.Config{Metrics: all, Plugins: []hooks.PluginConfig{{Name: "p", Command: "/bin/false", Concurrency: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(page, -1) {
		all[m[1]] = true
	}
	return all
}

// used finds the names of metrics in an expression of Prometheus.
var used = regexp.MustCompile(`\b(moray|fast|postgres|cueball|process|go|request)_[a-z_]+\b`)

func checkExpression(t *testing.T, where, expression string, known map[string]bool) {
	t.Helper()
	found := used.FindAllString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expression, `""`), -1)
	if len(found) == 0 && !strings.Contains(expression, "up{") {
		t.Errorf("%s: no metric in %s", where, expression)
	}
	for _, name := range found {
		family := name
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if base := strings.TrimSuffix(name, suffix); !known[name] && known[base] {
				family = base
			}
		}
		if !known[family] {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
}

func TestMetricNames(t *testing.T) {
	t.Parallel()
	text := page(t)
	known := names(t, text)

	t.Run("document", func(t *testing.T) {
		documented := map[string]bool{}
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (gauge|counter|histogram) \\|").FindAllStringSubmatch(read(t, "docs/monitoring.md"), -1) {
			if documented[m[1]] {
				t.Errorf("docs/monitoring.md has %s twice", m[1])
			}
			documented[m[1]] = true
			if strings.Contains(text, "# TYPE "+m[1]+" ") && !strings.Contains(text, "# TYPE "+m[1]+" "+m[2]+"\n") {
				t.Errorf("%s is no %s", m[1], m[2])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(known)) {
			if !documented[name] && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
				t.Errorf("docs/monitoring.md lacks %s", name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(documented)) {
			if !known[name] {
				t.Errorf("docs/monitoring.md has %s, which does not exist", name)
			}
		}
	})
	t.Run("dashboard", func(t *testing.T) {
		var dashboard struct {
			Panels []struct {
				Title, Type string
				Targets     []struct{ Expr string }
			}
		}
		if err := json.Unmarshal([]byte(read(t, "deploy/grafana/moray.json")), &dashboard); err != nil {
			t.Fatal(err)
		}
		for _, p := range dashboard.Panels {
			if p.Type != "row" && len(p.Targets) == 0 {
				t.Errorf("panel %q shows nothing", p.Title)
			}
			for _, target := range p.Targets {
				checkExpression(t, p.Title, target.Expr, known)
			}
		}
	})
	t.Run("alerts", func(t *testing.T) {
		for _, a := range alerts(t) {
			checkExpression(t, a.Alert, a.Expr, known)
		}
	})
	t.Run("promtool", func(t *testing.T) { // what Prometheus takes
		cmd := exec.Command("promtool", "check", "metrics")
		// The original's histogram has no series under the names that Prometheus expects; ours stands beside it.
		cmd.Stdin = strings.NewReader(regexp.MustCompile(`(?m)^(# \w+ )?fast_server_request_time_seconds.*\n`).ReplaceAllString(text, ""))
		out, err := cmd.CombinedOutput()
		if exit, ok := err.(*exec.ExitError); ok && exit.ExitCode() != 3 || err != nil && !ok { // 3: remarks on style
			t.Errorf("promtool check metrics: %v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "moray_") && !strings.Contains(line, "camelCase") { // rpcMethod is the original's
				t.Errorf("promtool: %s", line)
			}
		}
	})
}

type alert struct{ Alert, Expr string }

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// Prometheus accepts the rules, each rule has a test that it passes, and the document says of each what to do.
func TestAlerts(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = "../../deploy/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v (scripts/install-deps installs it)\n%s", strings.Join(args, " "), err, out)
		}
	}
	tests, document := read(t, "deploy/prometheus/alerts_test.yaml"), read(t, "docs/monitoring.md")
	for _, a := range alerts(t) {
		fires := regexp.MustCompile(`alertname: ` + a.Alert + `\n\s+exp_alerts:`)
		if !fires.MatchString(tests) {
			t.Errorf("no test lets %s fire", a.Alert)
		}
		if !strings.Contains(document, "| `"+a.Alert+"` |") {
			t.Errorf("docs/monitoring.md does not say what to do about %s", a.Alert)
		}
	}
}
