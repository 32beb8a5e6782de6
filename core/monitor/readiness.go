package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/kaizengarden/moray/core/jsvalue"
)

// Check is one condition for being ready.
type Check struct {
	Name string
	// Run returns nil if the condition holds. It returns soon after ctx ends. Its error is shown to whoever asks.
	Run func(ctx context.Context) error
}

// Impaired is the error of a check whose condition holds, but with a restriction that whoever asks should know of.
type Impaired string

func (i Impaired) Error() string { return string(i) }

// serveReadiness answers {"ready":…,"checks":{"<name>":{"ok":…,"message":…}}}; there is a message where ok is false, or something is
// impaired.
func (m *Monitor) serveReadiness(w http.ResponseWriter, r *http.Request) {
	// The context of the first of several requests must not end the checks for the others.
	ctx := context.WithoutCancel(r.Context())
	shared, _, _ := m.readiness.Do("", func() (any, error) { return m.runChecks(ctx), nil })
	errs := shared.([]error)

	status := http.StatusOK
	checks := []byte{'{'}
	for i, err := range errs {
		if i > 0 {
			checks = append(checks, ',')
		}
		checks = append(jsvalue.AppendString(checks, m.Checks[i].Name), `:{"ok":`...)
		impaired := errors.As(err, new(Impaired))
		checks = strconv.AppendBool(checks, err == nil || impaired)
		if err != nil && !impaired {
			status = http.StatusServiceUnavailable
		}
		if err != nil {
			checks = jsvalue.AppendString(append(checks, `,"message":`...), err.Error())
		}
		checks = append(checks, '}')
	}
	body := strconv.AppendBool([]byte(`{"ready":`), status == http.StatusOK)
	body = append(append(body, `,"checks":`...), checks...)
	writeJSON(w, status, append(body, "}}"...))
}

// runChecks runs all checks at once and returns their errors in the order of m.Checks.
func (m *Monitor) runChecks(ctx context.Context) []error {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(m.CheckTimeout, 2*time.Second))
	defer cancel()
	errs := make([]error, len(m.Checks))
	var all sync.WaitGroup
	for i, c := range m.Checks {
		all.Go(func() { errs[i] = c.run(ctx) })
	}
	all.Wait()
	return errs
}

// run turns a panic into an error: a probe must not end the server.
func (c Check) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the check panics: %v", p)
		}
	}()
	return c.Run(ctx)
}
