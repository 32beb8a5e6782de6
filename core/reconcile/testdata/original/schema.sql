SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.buckets_config (
    name text NOT NULL,
    index text NOT NULL,
    pre text NOT NULL,
    post text NOT NULL,
    options text,
    mtime timestamp without time zone DEFAULT now() NOT NULL,
    reindex_active text
);
ALTER TABLE public.buckets_config OWNER TO moray;
CREATE SEQUENCE public.golden_all_serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE public.golden_all_serial OWNER TO moray;
CREATE TABLE public.golden_all (
    _id bigint DEFAULT nextval('public.golden_all_serial'::regclass),
    _txn_snap integer,
    _key text NOT NULL,
    _value text NOT NULL,
    _etag character(8) NOT NULL,
    _mtime bigint DEFAULT ((EXTRACT(epoch FROM now()) * (1000)::numeric))::bigint,
    _vnode bigint,
    c_s text,
    c_sa text[],
    c_n numeric,
    c_na numeric[],
    c_nr numrange,
    c_b boolean,
    c_ba boolean[],
    c_d timestamp with time zone,
    c_da timestamp with time zone[],
    c_dr tstzrange,
    c_ip inet,
    c_ipa inet[],
    c_mac macaddr,
    c_maca macaddr[],
    c_sub cidr,
    c_suba cidr[],
    c_u uuid,
    u_s text,
    u_n numeric
);
ALTER TABLE public.golden_all OWNER TO moray;
CREATE SEQUENCE public.golden_badtrig_serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE public.golden_badtrig_serial OWNER TO moray;
CREATE TABLE public.golden_badtrig (
    _id bigint DEFAULT nextval('public.golden_badtrig_serial'::regclass),
    _txn_snap integer,
    _key text NOT NULL,
    _value text NOT NULL,
    _etag character(8) NOT NULL,
    _mtime bigint DEFAULT ((EXTRACT(epoch FROM now()) * (1000)::numeric))::bigint,
    _vnode bigint
);
ALTER TABLE public.golden_badtrig OWNER TO moray;
CREATE SEQUENCE public.golden_basic_serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE public.golden_basic_serial OWNER TO moray;
CREATE TABLE public.golden_basic (
    _id bigint DEFAULT nextval('public.golden_basic_serial'::regclass),
    _txn_snap integer,
    _key text NOT NULL,
    _value text NOT NULL,
    _etag character(8) NOT NULL,
    _mtime bigint DEFAULT ((EXTRACT(epoch FROM now()) * (1000)::numeric))::bigint,
    _vnode bigint,
    str text,
    num numeric,
    str_u text
);
ALTER TABLE public.golden_basic OWNER TO moray;
CREATE SEQUENCE public.golden_case_serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE public.golden_case_serial OWNER TO moray;
CREATE TABLE public.golden_case (
    _id bigint DEFAULT nextval('public.golden_case_serial'::regclass),
    _txn_snap integer,
    _key text NOT NULL,
    _value text NOT NULL,
    _etag character(8) NOT NULL,
    _mtime bigint DEFAULT ((EXTRACT(epoch FROM now()) * (1000)::numeric))::bigint,
    _vnode bigint,
    foobar text
);
ALTER TABLE public.golden_case OWNER TO moray;
CREATE SEQUENCE public.golden_empty_serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE public.golden_empty_serial OWNER TO moray;
CREATE TABLE public.golden_empty (
    _id bigint DEFAULT nextval('public.golden_empty_serial'::regclass),
    _txn_snap integer,
    _key text NOT NULL,
    _value text NOT NULL,
    _etag character(8) NOT NULL,
    _mtime bigint DEFAULT ((EXTRACT(epoch FROM now()) * (1000)::numeric))::bigint,
    _vnode bigint,
    a text,
    arr numeric[],
    _rver integer,
    c_s text,
    c_sa text[],
    c_n numeric,
    c_na numeric[],
    c_nr numrange,
    c_b boolean,
    c_ba boolean[],
    c_d timestamp with time zone,
    c_da timestamp with time zone[],
    c_dr tstzrange,
    c_ip inet,
    c_ipa inet[],
    c_mac macaddr,
    c_maca macaddr[],
    c_sub cidr,
    c_suba cidr[],
    c_u uuid,
    u_s text,
    u_n numeric
);
ALTER TABLE public.golden_empty OWNER TO moray;
CREATE SEQUENCE public.golden_ver_serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER TABLE public.golden_ver_serial OWNER TO moray;
CREATE TABLE public.golden_ver (
    _id bigint DEFAULT nextval('public.golden_ver_serial'::regclass),
    _txn_snap integer,
    _key text NOT NULL,
    _value text NOT NULL,
    _etag character(8) NOT NULL,
    _mtime bigint DEFAULT ((EXTRACT(epoch FROM now()) * (1000)::numeric))::bigint,
    _vnode bigint,
    str text,
    _rver integer,
    newnum numeric,
    nore text
);
ALTER TABLE public.golden_ver OWNER TO moray;
ALTER TABLE ONLY public.buckets_config
    ADD CONSTRAINT buckets_config_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.golden_all
    ADD CONSTRAINT golden_all_pkey PRIMARY KEY (_key);
ALTER TABLE ONLY public.golden_all
    ADD CONSTRAINT golden_all_u_n_key UNIQUE (u_n);
ALTER TABLE ONLY public.golden_all
    ADD CONSTRAINT golden_all_u_s_key UNIQUE (u_s);
ALTER TABLE ONLY public.golden_badtrig
    ADD CONSTRAINT golden_badtrig_pkey PRIMARY KEY (_key);
ALTER TABLE ONLY public.golden_basic
    ADD CONSTRAINT golden_basic_pkey PRIMARY KEY (_key);
ALTER TABLE ONLY public.golden_basic
    ADD CONSTRAINT golden_basic_str_u_key UNIQUE (str_u);
ALTER TABLE ONLY public.golden_case
    ADD CONSTRAINT golden_case_pkey PRIMARY KEY (_key);
ALTER TABLE ONLY public.golden_empty
    ADD CONSTRAINT golden_empty_pkey PRIMARY KEY (_key);
ALTER TABLE ONLY public.golden_ver
    ADD CONSTRAINT golden_ver_pkey PRIMARY KEY (_key);
CREATE INDEX golden_all__etag_idx ON public.golden_all USING btree (_etag) WHERE (_etag IS NOT NULL);
CREATE INDEX golden_all__id_idx ON public.golden_all USING btree (_id) WHERE (_id IS NOT NULL);
CREATE INDEX golden_all__mtime_idx ON public.golden_all USING btree (_mtime) WHERE (_mtime IS NOT NULL);
CREATE INDEX golden_all__vnode_idx ON public.golden_all USING btree (_vnode) WHERE (_vnode IS NOT NULL);
CREATE INDEX golden_all_c_b_idx ON public.golden_all USING btree (c_b) WHERE (c_b IS NOT NULL);
CREATE INDEX golden_all_c_ba_idx ON public.golden_all USING gin (c_ba) WHERE (c_ba IS NOT NULL);
CREATE INDEX golden_all_c_d_idx ON public.golden_all USING btree (c_d) WHERE (c_d IS NOT NULL);
CREATE INDEX golden_all_c_da_idx ON public.golden_all USING gin (c_da) WHERE (c_da IS NOT NULL);
CREATE INDEX golden_all_c_dr_idx ON public.golden_all USING gist (c_dr) WHERE (c_dr IS NOT NULL);
CREATE INDEX golden_all_c_ip_idx ON public.golden_all USING btree (c_ip) WHERE (c_ip IS NOT NULL);
CREATE INDEX golden_all_c_ipa_idx ON public.golden_all USING gin (c_ipa) WHERE (c_ipa IS NOT NULL);
CREATE INDEX golden_all_c_mac_idx ON public.golden_all USING btree (c_mac) WHERE (c_mac IS NOT NULL);
CREATE INDEX golden_all_c_maca_idx ON public.golden_all USING gin (c_maca) WHERE (c_maca IS NOT NULL);
CREATE INDEX golden_all_c_n_idx ON public.golden_all USING btree (c_n) WHERE (c_n IS NOT NULL);
CREATE INDEX golden_all_c_na_idx ON public.golden_all USING gin (c_na) WHERE (c_na IS NOT NULL);
CREATE INDEX golden_all_c_nr_idx ON public.golden_all USING gist (c_nr) WHERE (c_nr IS NOT NULL);
CREATE INDEX golden_all_c_s_idx ON public.golden_all USING btree (c_s) WHERE (c_s IS NOT NULL);
CREATE INDEX golden_all_c_sa_idx ON public.golden_all USING gin (c_sa) WHERE (c_sa IS NOT NULL);
CREATE INDEX golden_all_c_sub_idx ON public.golden_all USING btree (c_sub) WHERE (c_sub IS NOT NULL);
CREATE INDEX golden_all_c_suba_idx ON public.golden_all USING gin (c_suba) WHERE (c_suba IS NOT NULL);
CREATE INDEX golden_all_c_u_idx ON public.golden_all USING btree (c_u) WHERE (c_u IS NOT NULL);
CREATE INDEX golden_badtrig__etag_idx ON public.golden_badtrig USING btree (_etag) WHERE (_etag IS NOT NULL);
CREATE INDEX golden_badtrig__id_idx ON public.golden_badtrig USING btree (_id) WHERE (_id IS NOT NULL);
CREATE INDEX golden_badtrig__mtime_idx ON public.golden_badtrig USING btree (_mtime) WHERE (_mtime IS NOT NULL);
CREATE INDEX golden_badtrig__vnode_idx ON public.golden_badtrig USING btree (_vnode) WHERE (_vnode IS NOT NULL);
CREATE INDEX golden_basic__etag_idx ON public.golden_basic USING btree (_etag) WHERE (_etag IS NOT NULL);
CREATE INDEX golden_basic__id_idx ON public.golden_basic USING btree (_id) WHERE (_id IS NOT NULL);
CREATE INDEX golden_basic__mtime_idx ON public.golden_basic USING btree (_mtime) WHERE (_mtime IS NOT NULL);
CREATE INDEX golden_basic__vnode_idx ON public.golden_basic USING btree (_vnode) WHERE (_vnode IS NOT NULL);
CREATE INDEX golden_basic_num_idx ON public.golden_basic USING btree (num) WHERE (num IS NOT NULL);
CREATE INDEX golden_basic_str_idx ON public.golden_basic USING btree (str) WHERE (str IS NOT NULL);
CREATE INDEX golden_case__etag_idx ON public.golden_case USING btree (_etag) WHERE (_etag IS NOT NULL);
CREATE INDEX golden_case__id_idx ON public.golden_case USING btree (_id) WHERE (_id IS NOT NULL);
CREATE INDEX golden_case__mtime_idx ON public.golden_case USING btree (_mtime) WHERE (_mtime IS NOT NULL);
CREATE INDEX golden_case__vnode_idx ON public.golden_case USING btree (_vnode) WHERE (_vnode IS NOT NULL);
CREATE INDEX golden_case_foobar_idx ON public.golden_case USING btree (foobar) WHERE (foobar IS NOT NULL);
CREATE INDEX golden_empty__etag_idx ON public.golden_empty USING btree (_etag) WHERE (_etag IS NOT NULL);
CREATE INDEX golden_empty__id_idx ON public.golden_empty USING btree (_id) WHERE (_id IS NOT NULL);
CREATE INDEX golden_empty__mtime_idx ON public.golden_empty USING btree (_mtime) WHERE (_mtime IS NOT NULL);
CREATE INDEX golden_empty__rver_idx ON public.golden_empty USING btree (_rver) WHERE (_rver IS NOT NULL);
CREATE INDEX golden_empty__vnode_idx ON public.golden_empty USING btree (_vnode) WHERE (_vnode IS NOT NULL);
CREATE INDEX golden_empty_a_idx ON public.golden_empty USING btree (a) WHERE (a IS NOT NULL);
CREATE INDEX golden_empty_arr_idx ON public.golden_empty USING gin (arr) WHERE (arr IS NOT NULL);
CREATE INDEX golden_empty_c_b_idx ON public.golden_empty USING btree (c_b) WHERE (c_b IS NOT NULL);
CREATE INDEX golden_empty_c_ba_idx ON public.golden_empty USING gin (c_ba) WHERE (c_ba IS NOT NULL);
CREATE INDEX golden_empty_c_d_idx ON public.golden_empty USING btree (c_d) WHERE (c_d IS NOT NULL);
CREATE INDEX golden_empty_c_da_idx ON public.golden_empty USING gin (c_da) WHERE (c_da IS NOT NULL);
CREATE INDEX golden_empty_c_dr_idx ON public.golden_empty USING gist (c_dr) WHERE (c_dr IS NOT NULL);
CREATE INDEX golden_empty_c_ip_idx ON public.golden_empty USING btree (c_ip) WHERE (c_ip IS NOT NULL);
CREATE INDEX golden_empty_c_ipa_idx ON public.golden_empty USING gin (c_ipa) WHERE (c_ipa IS NOT NULL);
CREATE INDEX golden_empty_c_mac_idx ON public.golden_empty USING btree (c_mac) WHERE (c_mac IS NOT NULL);
CREATE INDEX golden_empty_c_maca_idx ON public.golden_empty USING gin (c_maca) WHERE (c_maca IS NOT NULL);
CREATE INDEX golden_empty_c_n_idx ON public.golden_empty USING btree (c_n) WHERE (c_n IS NOT NULL);
CREATE INDEX golden_empty_c_na_idx ON public.golden_empty USING gin (c_na) WHERE (c_na IS NOT NULL);
CREATE INDEX golden_empty_c_nr_idx ON public.golden_empty USING gist (c_nr) WHERE (c_nr IS NOT NULL);
CREATE INDEX golden_empty_c_s_idx ON public.golden_empty USING btree (c_s) WHERE (c_s IS NOT NULL);
CREATE INDEX golden_empty_c_sa_idx ON public.golden_empty USING gin (c_sa) WHERE (c_sa IS NOT NULL);
CREATE INDEX golden_empty_c_sub_idx ON public.golden_empty USING btree (c_sub) WHERE (c_sub IS NOT NULL);
CREATE INDEX golden_empty_c_suba_idx ON public.golden_empty USING gin (c_suba) WHERE (c_suba IS NOT NULL);
CREATE INDEX golden_empty_c_u_idx ON public.golden_empty USING btree (c_u) WHERE (c_u IS NOT NULL);
CREATE UNIQUE INDEX golden_empty_u_n_idx ON public.golden_empty USING btree (u_n) WHERE (u_n IS NOT NULL);
CREATE UNIQUE INDEX golden_empty_u_s_idx ON public.golden_empty USING btree (u_s) WHERE (u_s IS NOT NULL);
CREATE INDEX golden_ver__etag_idx ON public.golden_ver USING btree (_etag) WHERE (_etag IS NOT NULL);
CREATE INDEX golden_ver__id_idx ON public.golden_ver USING btree (_id) WHERE (_id IS NOT NULL);
CREATE INDEX golden_ver__mtime_idx ON public.golden_ver USING btree (_mtime) WHERE (_mtime IS NOT NULL);
CREATE INDEX golden_ver__rver_idx ON public.golden_ver USING btree (_rver) WHERE (_rver IS NOT NULL);
CREATE INDEX golden_ver__vnode_idx ON public.golden_ver USING btree (_vnode) WHERE (_vnode IS NOT NULL);
CREATE INDEX golden_ver_newnum_idx ON public.golden_ver USING btree (newnum) WHERE (newnum IS NOT NULL);
CREATE INDEX golden_ver_nore_idx ON public.golden_ver USING btree (nore) WHERE (nore IS NOT NULL);
CREATE INDEX golden_ver_str_idx ON public.golden_ver USING btree (str) WHERE (str IS NOT NULL);
