package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"time"
)

// Media types of the OCI image specification.
const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// descriptor points to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// index lists images.
type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

// manifest is one image.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

// imageConfig says how an image is run, which this one is not.
type imageConfig struct {
	platform
	Config struct {
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// layout is an OCI image layout that is being made.
type layout struct {
	blobs []blob
	err   error // the first that occurred; the layout is then of no use
}

type blob struct {
	name string
	text []byte
}

// image returns an OCI image layout as a tar archive: one index, tagged with the version, of an image for each GOARCH in
// contents, whose only files are those, below /opt. It stands on no other image.
func image(version string, contents map[string][]entry) ([]byte, error) {
	var l layout
	images := index{SchemaVersion: 2, MediaType: mediaIndex}
	for _, a := range arches() {
		p := platform{Architecture: a.goarch, OS: "linux"}
		d := l.image(version, p, contents[a.goarch])
		d.Platform = &p
		images.Manifests = append(images.Manifests, d)
	}
	top := l.json(mediaIndex, images)
	top.Annotations = map[string]string{"org.opencontainers.image.ref.name": version}
	l.file("index.json", l.marshal(index{SchemaVersion: 2, MediaType: mediaIndex, Manifests: []descriptor{top}}))
	l.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	if l.err != nil {
		return nil, l.err
	}
	var files []entry
	for _, b := range l.blobs {
		files = append(files, entry{b.name, 0o644, b.text})
	}
	return archive("", files)
}

// image adds an image with one layer.
func (l *layout) image(version string, p platform, entries []entry) descriptor {
	files, err := archive("opt", entries)
	l.fail(err)
	compressed, err := compress(files)
	l.fail(err)
	c := imageConfig{platform: p}
	c.Config.Labels = map[string]string{
		"org.opencontainers.image.title":    "cache-extension",
		"org.opencontainers.image.version":  version,
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	c.RootFS.Type = "layers"
	c.RootFS.DiffIDs = []string{digest(files)}
	return l.json(mediaManifest, manifest{
		SchemaVersion: 2,
		MediaType:     mediaManifest,
		Config:        l.json(mediaConfig, c),
		Layers:        []descriptor{l.blob(mediaLayer, compressed)},
	})
}

func (l *layout) json(mediaType string, v any) descriptor { return l.blob(mediaType, l.marshal(v)) }

func (l *layout) blob(mediaType string, text []byte) descriptor {
	d := descriptor{MediaType: mediaType, Digest: digest(text), Size: len(text)}
	l.file("blobs/sha256/"+d.Digest[len("sha256:"):], text)
	return d
}

func (l *layout) file(name string, text []byte) { l.blobs = append(l.blobs, blob{name, text}) }

func (l *layout) marshal(v any) []byte {
	text, err := json.Marshal(v)
	l.fail(err)
	return text
}

func (l *layout) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

func digest(text []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(text)) }

// archive returns a tar archive of the entries below a folder, each after the folders that it is in. All belongs to root.
func archive(below string, entries []entry) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := make(map[string]bool)
	add := func(name string, mode int64, kind byte, text []byte) error {
		h := &tar.Header{Format: tar.FormatUSTAR, Typeflag: kind, Name: name, Mode: mode, Size: int64(len(text)), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := w.Write(text)
		return err
	}
	for _, e := range entries {
		name := path.Join(below, e.name)
		var parents []string
		for dir := path.Dir(name); dir != "." && !made[dir]; dir = path.Dir(dir) {
			made[dir] = true
			parents = append(parents, dir)
		}
		for _, dir := range slices.Backward(parents) {
			if err := add(dir+"/", 0o755, tar.TypeDir, nil); err != nil {
				return nil, err
			}
		}
		if err := add(name, int64(e.mode), tar.TypeReg, e.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func compress(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
