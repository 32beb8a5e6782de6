package server_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kaizengarden/moray/core/pgstore/pgtest"
	"github.com/kaizengarden/moray/core/server/servertest"
)

// A server that was told to stop is not ready while it finishes what is in flight.
func TestNotReadyWhileStopping(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, pgtest.New(t).URL(), servertest.Options{})
	c := dial(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	eventually(t, "it is ready", func() bool { status, _ := get(t, s, "/readyz"); return status == http.StatusOK })
	var all sync.WaitGroup
	all.Go(func() {
		for _, err := range c.SQL(ctx, "SELECT pg_sleep(2)", nil, nil) {
			if err != nil {
				t.Errorf("the request in flight: %v", err)
			}
		}
	})
	eventually(t, "the request is in flight", func() bool { _, body := get(t, s, "/kang/snapshot"); return strings.Contains(body, "pg_sleep") })
	all.Go(func() { s.Stop(t) })
	eventually(t, "it is not ready", func() bool {
		status, body := get(t, s, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, `"server":{"ok":false,"message":"it is stopping`)
	})
	all.Wait()
}
