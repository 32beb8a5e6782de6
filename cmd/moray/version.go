package main

import "runtime/debug"

// stamp is the version that make release gives with -ldflags -X.
var stamp string

// version is that of the release, or else of the module, or "devel".
func version() string {
	if stamp != "" {
		return stamp
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
