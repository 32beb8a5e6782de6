package monitor

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// Build says what program runs.
type Build struct {
	Version  string
	Revision string // of the source, or ""
	Go       string // version of the compiler and its library
}

// ReadBuild returns the build of this process, whose version the caller knows.
func ReadBuild(version string) Build {
	b := Build{Version: version, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

// Collector returns the metric that says what was built.
func (b Build) Collector() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "moray_build_info", Help: "always 1; the labels say what program runs",
		ConstLabels: prometheus.Labels{"version": b.Version, "revision": b.Revision, "goversion": b.Go},
	}, func() float64 { return 1 })
}
