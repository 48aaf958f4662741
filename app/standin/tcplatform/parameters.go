package tcplatform

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
)

// writeParameters writes the file that an App reads once, and returns its path and key.
func (s *Service) writeParameters(l *launch) (path, key string, err error) {
	plain, err := json.Marshal(s.allInputs(l))
	if err != nil {
		return "", "", err
	}
	key = strings.ToLower(rand.Text()[:16])
	sealed, err := encryptParameters(plain, []byte(key))
	if err != nil {
		return "", "", err
	}
	if s.o.Damage != nil {
		sealed = s.o.Damage(sealed)
	}
	path = s.pathOf("in", ".app_params.json")
	return path, key, os.WriteFile(path, sealed, 0o600)
}

// encryptParameters is AES-CBC with an IV of zeros and PKCS#7 padding; the key is used as it stands,
// app/docs/platform.md#parameter-file.
func encryptParameters(plain, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	sealed := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(sealed, sealed)
	return sealed, nil
}

// allInputs are everything that the App is told: the platform's own and the administrator's. The platform's scalars come
// as text or as themselves, what is not set as "", null or not at all, and there are keys that no App knows. The vendor's
// framework (tcex 5.0.0) ends at once where "" stands for a number, or a number for a text, so that neither is sent: not
// even for digits that an administrator typed in, app/docs/platform.md#values-in-the-parameter-file.
func (s *Service) allInputs(l *launch) map[string]any {
	p := s.platform
	in := map[string]any{
		"tc_svc_server_topic": l.server, "tc_svc_client_topic": l.client,
		"tc_svc_hb_timeout_seconds": p.chance.numberForm(int64(p.o.HeartbeatTimeout.Seconds())),
		"tc_svc_id":                 p.chance.numberForm(7),
		"tc_api_path":               p.URL() + "/api",
		"tc_in_path":                s.pathOf("in"), "tc_out_path": s.pathOf("out"),
		"tc_log_path": s.pathOf("log"), "tc_temp_path": s.pathOf("tmp"),
		"tc_log_level": "info", "tc_log_file": "app.log", "tc_log_max_bytes": p.chance.numberForm(10 << 20),
		"tc_log_to_api": p.chance.booleanForm(false), "tc_proxy_host": p.chance.unsetForm(), "tc_proxy_port": nil,
		"tc_proxy_tc": p.chance.booleanForm(false), "tc_proxy_external": p.chance.booleanForm(false),
		"tc_cache_kvstore_id": p.chance.numberForm(10), "tc_user_id": nil, "tc_playbook_out_variables": "",
	}
	p.tokenInputs(in)
	p.brokerInputs(in)
	p.storeInputs(in)
	for _, parameter := range s.App.Manifest.Params {
		in[parameter.Name] = p.chance.unsetForm()
	}
	for name, value := range s.Parameters() {
		in[name] = value
	}
	for name, value := range mergedInputs(p.o.Inputs, s.o.Inputs) {
		in[name] = value
	}
	for _, name := range p.o.Omit {
		delete(in, name)
	}
	return in
}

func mergedInputs(all ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, inputs := range all {
		maps.Copy(merged, inputs)
	}
	return merged
}

// tokenInputs: without a token there is none of the two, or both are not set.
func (p *Platform) tokenInputs(in map[string]any) {
	switch {
	case p.o.StartToken:
		token, expires := p.tokens.issueToken(longToken)
		in["tc_token"], in["tc_token_expires"] = token, p.chance.numberForm(expires.Unix())
	case p.chance.oneIn(2):
		in["tc_token"], in["tc_token_expires"] = p.chance.unsetForm(), nil
	}
}

func (p *Platform) brokerInputs(in map[string]any) {
	where := p.broker.where
	in["tc_svc_broker_host"], in["tc_svc_broker_port"], in["tc_svc_broker_token"] = where.Host, p.chance.numberForm(int64(where.Port)), where.Token
	if where.CAFile != "" {
		in["tc_svc_broker_cacert_file"] = where.CAFile
	}
	in["tc_svc_broker_jks_file"] = "Unused"
}

func (p *Platform) storeInputs(in map[string]any) {
	if p.o.KeyValueAPI {
		in["tc_kvstore_type"] = "TCKeyValueAPI"
		return
	}
	where := p.store.where
	in["tc_kvstore_type"], in["tc_kvstore_host"] = "Redis", where.Host
	in["tc_kvstore_user"], in["tc_kvstore_pass"] = where.User, where.Password
	in["tc_kvstore_tls_enabled"] = p.chance.booleanForm(where.TLS)
	in["tc_playbook_kvstore_id"] = p.chance.numberForm(int64(where.DB))
	port := "tc_kvstore_port"
	if where.TLS {
		port = "tc_kvstore_tls_port"
		in["tc_svc_broker_cacert_file"] = where.CAFile
		in["tc_svc_broker_cert_file"], in["tc_svc_broker_key_file"] = where.CertFile, where.KeyFile
	}
	in[port] = p.chance.numberForm(int64(where.Port))
}

// numberForm writes n as a number or as text.
func (c *chance) numberForm(n int64) any {
	if c.oneIn(2) {
		return strconv.FormatInt(n, 10)
	}
	return n
}

func (c *chance) booleanForm(b bool) any {
	if c.oneIn(2) {
		return fmt.Sprint(b)
	}
	return b
}

// unsetForm is what stands for a text that is not set.
func (c *chance) unsetForm() any {
	if c.oneIn(2) {
		return nil
	}
	return ""
}
