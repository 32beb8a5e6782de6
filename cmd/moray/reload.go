package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/kaizengarden/moray/core/bunyan"
	"github.com/kaizengarden/moray/core/config"
	"github.com/kaizengarden/moray/core/server"
)

// reloader brings a server that runs in line with its configuration file. Its methods are for one goroutine.
type reloader struct {
	file      string
	overrides []config.Override
	running   *config.Config // that the server was started with
	current   *config.Config // that was read last
	level     *bunyan.Level
	log       *slog.Logger
	server    *server.Server
}

// reload reads the file again. Of one that is not valid nothing is taken over.
func (r *reloader) reload() {
	defer r.server.Reload()
	next, warnings, err := config.Load(r.file, r.overrides...)
	if err == nil {
		err = r.server.Reconfigure(next)
	}
	if err == nil {
		err = setLevel(r.level, next.Log)
	}
	if err != nil {
		r.log.Error("reload: the configuration is not valid, nothing of it was taken over", "err", err)
		return
	}
	for _, w := range warnings {
		r.log.Warn(w)
	}
	fixed := func(name string) bool { return !config.Reloadable(name) }
	changed := slices.DeleteFunc(r.current.Changes(next), fixed)
	r.current = next
	if restart := slices.DeleteFunc(r.running.Changes(next), config.Reloadable); len(restart) > 0 {
		r.log.Warn("reload: changes that need a restart: " + strings.Join(restart, ", "))
	}
	r.log.Info("reload: the configuration was read again", "changed", changed)
}

// setLevel changes the level of the log, which says so itself.
func (r *reloader) setLevel(change func()) {
	change()
	r.log.Log(context.Background(), max(r.level.Level(), slog.LevelInfo), "log level is "+r.level.String()+" now")
}

// onSignals calls what is to be done at a signal, until the function that it returns is called.
func onSignals(actions map[os.Signal]func()) (stop func()) {
	signals := make(chan os.Signal, 8)
	for s := range actions {
		signal.Notify(signals, s)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := range signals {
			actions[s]()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-ended
	}
}
