package config

import (
	"maps"
	"slices"
)

// newPlugins reads the plugins, in the order of their names.
func newPlugins(all section) (plugins []Plugin) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all.section(name)
		p := Plugin{
			Name: name, Enabled: s["enabled"] == true, Command: s.text("command"), Args: s.texts("args"), SHA256: s.text("sha256"),
			PassEnv: s.texts("passEnv"), Timeout: s.millis("timeout"), Concurrency: s.integer("concurrency"), Slow: s.millis("slow"),
			MaxMemory: uint64(s.integer("maxMemoryBytes")), MemorySet: s.has("maxMemoryBytes"),
			MaxOpenFiles: uint64(s.integer("maxOpenFiles")), MaxAddressSpace: uint64(s.integer("maxAddressSpaceBytes")),
		}
		p.Env = map[string]string{}
		for variable := range s.section("env") {
			p.Env[variable] = s.section("env").text(variable)
		}
		plugins = append(plugins, p)
	}
	return plugins
}

func (s section) texts(name string) (texts []string) {
	list, _ := s[name].([]any)
	for _, v := range list {
		text, _ := v.(string)
		texts = append(texts, text)
	}
	return texts
}
