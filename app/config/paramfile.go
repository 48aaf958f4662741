package config

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"

	"mssentinel/app/regular"
)

// The platform names the parameter file and its key in these variables, app/docs/platform.md#parameter-file.
const (
	paramFileVariable = "TC_APP_PARAM_FILE"
	paramKeyVariable  = "TC_APP_PARAM_KEY"
)

// maxParamFile bounds the parameter file, in bytes; a real one has a few thousand.
const maxParamFile = 4 << 20

var errNotOurs = errors.New("it is damaged or TC_APP_PARAM_KEY does not fit it: turn the Service off and on again, so that ThreatConnect writes a new one")

// paramFile is what became of the parameter file.
type paramFile struct {
	named   bool // the environment named one
	path    string
	values  map[string]json.RawMessage
	warning string // what did not work but harms nothing
}

// readParamFile reads the encrypted file that the environment names, if it does. The variables are gone afterwards in
// any case, the file only when it could be read: it is single-use.
func readParamFile() (paramFile, error) {
	path, key := os.Getenv(paramFileVariable), os.Getenv(paramKeyVariable)
	for _, name := range []string{paramFileVariable, paramKeyVariable} {
		if err := os.Unsetenv(name); err != nil {
			return paramFile{}, fmt.Errorf("removing %s from the environment: %w", name, err)
		}
	}
	switch {
	case path == "" && key == "":
		return paramFile{}, nil
	case path == "":
		return paramFile{named: true}, fmt.Errorf("%s is set but %s is not: start the App from the Services page of ThreatConnect", paramKeyVariable, paramFileVariable)
	case key == "":
		return paramFile{named: true}, fmt.Errorf("%s is set but %s is not: start the App from the Services page of ThreatConnect", paramFileVariable, paramKeyVariable)
	}
	sealed, err := regular.Read(path, maxParamFile)
	if err != nil {
		return paramFile{named: true, path: path}, fmt.Errorf("reading the parameter file: %w", err)
	}
	values, err := openParams(sealed, []byte(key))
	if err != nil {
		return paramFile{named: true, path: path}, fmt.Errorf("reading the parameter file %s: %w", path, err)
	}
	file := paramFile{named: true, path: path, values: values}
	if err := os.Remove(path); err != nil {
		file.warning = fmt.Sprintf("the parameter file stays behind (%v): give the App's user the right to delete in that folder", err)
	}
	return file, nil
}

// siblingFolder returns the folder with that name next to the one that holds the parameter file, or "": the folders in,
// out and log of a Service stand side by side, app/docs/platform.md#folders.
func (f paramFile) siblingFolder(name string) string {
	folder := filepath.Dir(f.path)
	if filepath.Base(folder) != "in" {
		return ""
	}
	folder = filepath.Join(filepath.Dir(folder), name)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return ""
	}
	return folder
}

// openParams decrypts and splits a parameter file. No error of it quotes the content.
func openParams(sealed, key []byte) (map[string]json.RawMessage, error) {
	plain, err := decryptParams(sealed, key)
	if err != nil {
		return nil, err
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(plain, &values) != nil || values == nil {
		return nil, errNotOurs // a wrong key can leave a padding that looks right
	}
	return values, nil
}

// decryptParams undoes AES-CBC with an IV of zeros and PKCS#7 padding; the key is used as it stands,
// app/docs/platform.md#parameter-file.
func decryptParams(sealed, key []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%s has %d bytes, and a key has 16, 24 or 32", paramKeyVariable, len(key))
	}
	if len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("its %d bytes are not whole blocks, so a part is missing: turn the Service off and on again, so that ThreatConnect writes a new one", len(sealed))
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(plain, sealed)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errNotOurs
	}
	return plain[:len(plain)-pad], nil
}

// scalarText returns a JSON value as text: strings as they are, whole numbers without exponent or fraction, null as "".
func scalarText(raw json.RawMessage) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "", errors.New("is no JSON value")
	}
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool:
		return fmt.Sprint(v), nil
	case json.Number:
		return wholeNumber(v.String()), nil
	default:
		return "", errors.New("arrived as a list or an object; a single value is needed")
	}
}

// wholeNumber writes 5.0 and 5e0 as 5, because a sender may hold every number as a float. The length guards against
// exponents that would fill the memory.
func wholeNumber(text string) string {
	if len(text) > 32 {
		return text
	}
	if f, _, err := big.ParseFloat(text, 10, 128, big.ToNearestEven); err == nil && f.IsInt() && f.MantExp(nil) < 128 {
		return f.Text('f', 0)
	}
	return text
}
