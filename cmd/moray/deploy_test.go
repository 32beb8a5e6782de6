package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kaizengarden/moray/core/config"
)

// accepted runs the program and reports what it does not like.
func accepted(t *testing.T, args ...string) {
	t.Helper()
	var out bytes.Buffer
	if status := run(t.Context(), args, &out, &out); status != 0 {
		t.Errorf("moray %v: exit status %d: %s", args, status, out.String())
	}
}

// The configuration files that are shipped are right.
func TestShippedConfigurations(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"../../deploy/debian/config.json", "../../deploy/compose/config.yaml"} {
		accepted(t, "config", "check", "-f", file)
	}
}

// manifest is what the test looks at in an object of Kubernetes.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Template struct {
			Spec struct {
				Containers []struct {
					Args  []string
					Live  probe `yaml:"livenessProbe"`
					Ready probe `yaml:"readinessProbe"`
					Ports []struct {
						Name          string
						ContainerPort int `yaml:"containerPort"`
					}
					VolumeMounts []struct {
						Name      string
						MountPath string `yaml:"mountPath"`
					} `yaml:"volumeMounts"`
				}
			}
		}
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

func manifests(t *testing.T, file string) map[string]manifest {
	t.Helper()
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	all := map[string]manifest{}
	for in := yaml.NewDecoder(text); ; {
		var m manifest
		if err := in.Decode(&m); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[m.Kind+"/"+m.Metadata.Name] = m
	}
}

// The manifests for Kubernetes hold a configuration and definitions of buckets that are right, mounted where the server looks for them,
// and their probes ask for what the monitor has.
func TestManifests(t *testing.T) {
	t.Parallel()
	all := manifests(t, "../../deploy/kubernetes/moray.yaml")
	dir := t.TempDir()
	for name, files := range map[string]map[string]string{
		"config": all["ConfigMap/moray"].Data, "buckets": all["ConfigMap/moray-buckets"].Data,
	} {
		if len(files) == 0 {
			t.Fatalf("no ConfigMap for %s", name)
		}
		for file, text := range files {
			path := filepath.Join(dir, name, file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := filepath.Join(dir, "config", "config.yaml")
	accepted(t, "config", "check", "-f", file)
	accepted(t, "buckets", "validate", "--dir", filepath.Join(dir, "buckets"))

	c, _, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	containers := all["Deployment/moray"].Spec.Template.Spec.Containers
	if len(containers) != 1 {
		t.Fatalf("%d containers", len(containers))
	}
	moray := containers[0]
	ports := map[string]int{}
	for _, p := range moray.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if ports["fast"] != c.Port || ports["monitor"] != c.MonitorPort {
		t.Errorf("ports %v, but the configuration has %d and %d", ports, c.Port, c.MonitorPort)
	}
	mounts := map[string]string{}
	for _, m := range moray.VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	if args := moray.Args; len(args) != 3 || args[2] != mounts["config"] || c.Reconcile.Directory != mounts["buckets"] {
		t.Errorf("the server reads %v and %s, mounted are %v", args, c.Reconcile.Directory, mounts)
	}
	live, ready := moray.Live.HTTPGet, moray.Ready.HTTPGet
	if live.Path != "/healthz" || ready.Path != "/readyz" || live.Port != "monitor" || ready.Port != "monitor" {
		t.Errorf("probes %v and %v", live, ready)
	}
}
