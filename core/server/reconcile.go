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
		By: "server " + s.config.ServerUUID + "@" + host, Log: s.log.With("component", "reconcile"),
	}
	if c.Mode != reconcile.ModeOff {
		r.Metrics = reconcile.NewMetrics(metrics)
	}
	return r
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
