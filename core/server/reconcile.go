package server

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/monitor"
	"github.com/kaizengarden/moray/core/reconcile"
)

// newReconciler makes what keeps buckets in line with their definitions.
func (s *Server) newReconciler(host string, metrics prometheus.Registerer) *reconcile.Reconciler {
	c := s.config.Reconcile
	r := &reconcile.Reconciler{
		Directory: c.Directory, Mode: c.Mode, Exit: c.Exit, Store: s.store, Cache: s.buckets.Cache, Triggers: s.buckets.Triggers,
		By: s.by(host), Log: s.log.With("component", "reconcile"),
	}
	if c.Mode != reconcile.ModeOff {
		r.Metrics = reconcile.NewMetrics(metrics)
	}
	return r
}

// newReindexer makes what fills new indexes behind the clients' requests.
func (s *Server) newReindexer(host string, metrics prometheus.Registerer) *reconcile.Reindexer {
	return &reconcile.Reindexer{
		Off: !s.config.Reconcile.Reindex, Store: s.store, Cache: s.buckets.Cache, By: s.by(host), Log: s.log.With("component", "reindex"),
		Metrics: reconcile.NewReindexMetrics(metrics),
	}
}

// by names this server in the records of what is done.
func (s *Server) by(host string) string { return "server " + s.config.ServerUUID + "@" + host }

// noticeDefinitions tells those who look at definitions that one may have changed.
func (s *Server) noticeDefinitions() {
	s.reconciler.Notice()
	s.reindexer.Notice()
}

// Reload tells the server to look at its definitions again. It does not wait.
func (s *Server) Reload() { s.reconciler.Notice() }

// definitionsReady is the readiness check. Definitions that are not applied do not take the server out of use: it serves with
// those that are there.
func (s *Server) definitionsReady(context.Context) error {
	if text := s.reconciler.Status().Impaired(); text != "" {
		return monitor.Impaired(text)
	}
	return nil
}
