BEGIN TRANSACTION;
CREATE TABLE "adapters" (
	id INTEGER NOT NULL, 
	space_id INTEGER, 
	person_id INTEGER, 
	name VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	job_number INTEGER, 
	"trigger" VARCHAR DEFAULT '' NOT NULL, 
	phrase VARCHAR DEFAULT '' NOT NULL, 
	preset VARCHAR DEFAULT '' NOT NULL, 
	hint DOUBLE DEFAULT '1' NOT NULL, 
	access VARCHAR DEFAULT 'everybody' NOT NULL, 
	thumbnail VARCHAR, 
	tokens INTEGER DEFAULT '0' NOT NULL, 
	uses INTEGER DEFAULT '0' NOT NULL, 
	info JSON, 
	deleted_at DOUBLE, sheet VARCHAR, standing VARCHAR DEFAULT '' NOT NULL, reason VARCHAR DEFAULT '' NOT NULL, least DOUBLE, most DOUBLE, usual DOUBLE, 
	CONSTRAINT pk_adapters PRIMARY KEY (id), 
	CONSTRAINT fk_adapters_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE CASCADE, 
	CONSTRAINT fk_adapters_person_id_people FOREIGN KEY(person_id) REFERENCES people (id) ON DELETE SET NULL, 
	CONSTRAINT fk_adapters_job_number_jobs FOREIGN KEY(job_number) REFERENCES jobs (number) ON DELETE SET NULL
);
INSERT INTO "adapters" VALUES(1,1,2,'chalk','3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc',1.79605937843170809743e+09,NULL,'chlk','chlk','imported',1.0,'space','28aa53dfd2e177e6af8eab4664d97510c6aaebc7e1a3f0000746ba061166a3bd',0,4,'{"numbers": "9d1cb90d0d26273c71ed21af60d7ef89b9d138ef8ca82ec614b7d432648da322", "imported": {"names": "diffusers", "rank": 2, "modules": 4, "text_encoders": false, "bytes": 8368}, "clip": {"of": "28aa53dfd2e177e6af8eab4664d97510c6aaebc7e1a3f0000746ba061166a3bd", "by": "1ab049a035c42c5f", "vector": "57F5sYUzqKkOp0glLKecsWgpNCU2I3esJzPjsD+yPDC0Mlcz1TMqKnmx57GfrpO0myR5pl+vsibeLJQsNKodr1WqM7AhsYelk7K9LCijjyqopm8mx60jLegt1yeIrRiq3q33rsUlx6+pMOMylp7PIQC1jClwoT+cFDC8HX0shSA="}}',NULL,NULL,'','',0.2,1.0,NULL);
INSERT INTO "adapters" VALUES(2,1,2,'both','11f5f56ded7d3cf1256f75f9f6790356a2d1ad2c093932ee87d383f2ab5d3f77',1.7960593795833528042e+09,NULL,'chlk','chlk','merged',1.0,'me','6bf769767792ecfbe7ff13e225fecf3925cb57f18c8ae0ffb5082b3f3768f06e',0,0,'{"numbers": "a4539f6b646576780409a732778fe0bf2cbefe9dc2ae84024d4a2409fb487014", "merged": {"of": "chalk:0.7, ink:0.5", "rank": 3, "modules": 4, "lost": "nothing", "apart": "0 of 255", "bytes": 11672}, "clip": {"of": "6bf769767792ecfbe7ff13e225fecf3925cb57f18c8ae0ffb5082b3f3768f06e", "by": "1ab049a035c42c5f", "vector": "arGKLfQqEqycJs4w/6o/tGmKtCEHMPusmSpwsfeyUiwEMhovHTKcJbCpf6hGnTK2mCrYrSWvjakLMKkura5ArKisXrN3r6axiLDjqvYwICbZKE6r3q5CMewp762rqYUxvbDrH6aoia2AHE40RSx/qemw2y4yq36vZzI+pZAtBSw="}}',NULL,'57412821bf5f675050a7ff46627137f8f0915271f943663ee343507a8414db08','refused','no consent',NULL,NULL,NULL);
INSERT INTO "adapters" VALUES(3,1,3,'old','e838a05fbd47345031a194b92df900ced8665645c19405af690a43e23b09483b',1.79605938024021553997e+09,NULL,'','','imported',1.0,'me','be3b5c1457f34edf3b713daa289ed3631174fcd49e4cb7a116f4d159d7fb7e17',0,0,'{"numbers": "a90d56eb188294e9e5370b1506d720e11f53c26e39a9edd58e2771b31f39ecbf", "imported": {"names": "kohya", "rank": 1, "modules": 4, "text_encoders": false, "bytes": 5280}}',NULL,NULL,'retired','',NULL,NULL,NULL);
INSERT INTO "adapters" VALUES(4,1,2,'maria','b22c79041ad5921423653333cb3ffbfff282c275e8abae3d3dc6594df8c28977',1.79605938656173133851e+09,1,'ohwx','ohwx gear','object',1.0,'everybody','f7dd2282b202f75cb50093ef0e0f14b96301d12e81d85f8623e042327aef26cd',0,3,'{"settings": {"resolution": 32, "feed_forward": false, "convolutions": false, "text_encoder": false, "text_encoder_2": false, "blocks": ["mid"], "rank": 1, "alpha": 64.0, "dropout": 0.0, "dora": false, "optimizer": "adamw", "learning_rate": 0.01, "text_learning_rate": 5e-05, "token_learning_rate": 0.001, "weight_decay": 0.01, "schedule": "cosine", "warmup": 0, "batch": 1, "accumulation": 1, "clipping": 1.0, "steps": 12, "epochs": 0, "precision": "auto", "checkpointing": false, "min_snr_gamma": 50.0, "noise_offset": 0.0, "caption_dropout": 0.05, "flip": true, "random_crop": false, "prior": "none", "prior_weight": 0.3, "prior_pictures": 20, "new_tokens": 0, "pivot": 0.5, "validation": 0.0, "every": 3, "patience": 0, "seed": 5}, "pictures": 2, "steps": 12, "best": 12, "seconds": 5.699552388987286, "losses": [[1, 3.1213557720184326], [2, 0.11478393524885178], [3, 2.562370777130127], [4, 0.3009805977344513], [5, 1.0713192224502563], [6, 1.8610249757766724], [7, 0.13207919895648956], [8, 2.8371193408966064], [9, 0.0017838457133620977], [10, 2.9890928268432617], [11, 0.13768568634986877], [12, 3.7360308170318604]], "validation": [[0, 0.8269647014094517], [3, 0.8269304543209728], [6, 0.8270596563816071], [9, 0.827042088174494], [12, 0.8268582099699415]], "clip": {"of": "f7dd2282b202f75cb50093ef0e0f14b96301d12e81d85f8623e042327aef26cd", "by": "1ab049a035c42c5f", "vector": "LjBzIzmucKxhrDWqkSZFsBckyimusPun9i8GqHYxriw8o70ow7EqsJcxhKwHL9MkJzEBri0nHp69KxkzZrEusz+tMi0oIBMzmzMgJP+sQ6jtLKkn9bBZIIkyRiU2rd8yTC3wrSGuIy/cLaKySTGHMaUwNDDtL6a09acVINgzZyw="}}',NULL,NULL,'','',NULL,NULL,NULL);
INSERT INTO "adapters" VALUES(5,NULL,NULL,'ink','d024f26d43bdc00a8c6b487182f8d5af6dede83dd4cf2f992228605c00fcd1c5',1.79605938732299947732e+09,NULL,'','','',1.0,'everybody',NULL,0,2,NULL,NULL,NULL,'','',NULL,NULL,NULL);
INSERT INTO "adapters" VALUES(6,NULL,NULL,'odd','29e4c9e589f0bb440abd2350d1b620067dbb6c8a69523ba050727962fa2968f3',1.796059389094814539e+09,NULL,'','','',1.0,'everybody',NULL,0,1,NULL,NULL,NULL,'','',NULL,NULL,NULL);
INSERT INTO "adapters" VALUES(7,3,3,'pen','d741f2ea8b7d456f799dd1638a8e0c7f49f04340483f9911e25a9b1f4ef8143c',1796059390.95565,NULL,'','','imported',1.0,'space','44fc4feadf089d84a0e0a4f5dde39625dcce6dbae2d1bb0c2326913a0b4af9da',0,2,'{"numbers": "a90d56eb188294e9e5370b1506d720e11f53c26e39a9edd58e2771b31f39ecbf", "imported": {"names": "kohya", "rank": 1, "modules": 4, "text_encoders": false, "bytes": 5280}}',NULL,NULL,'','',NULL,NULL,0.6);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0008');
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	space_id INTEGER, 
	person_id INTEGER, 
	action VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	"before" JSON, 
	"after" JSON, 
	CONSTRAINT pk_audit PRIMARY KEY (id), 
	CONSTRAINT fk_audit_person_id_people FOREIGN KEY(person_id) REFERENCES people (id) ON DELETE SET NULL, 
	CONSTRAINT fk_audit_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE SET NULL
);
INSERT INTO "audit" VALUES(1,1.79605936727960658078e+09,1,1,'rules','rules','{"refuse": [], "adult": [], "negative": "", "approve": false, "filtered": "refuse"}','{"refuse": ["gore", "/nak?ed+/"], "adult": ["nude"], "negative": "blurry", "approve": true, "filtered": "spoiler"}');
INSERT INTO "audit" VALUES(2,1.79605936734699416163e+09,1,1,'limits','everybody','{}','{"seconds": 500000, "trainings": 9, "queued": 8, "pictures": 400, "total": 900000, "megabytes": 90}');
INSERT INTO "audit" VALUES(3,1.79605937844778180121e+09,1,1,'loras','LoRA chalk','{"standing": "waiting", "reason": ""}','{"standing": "approved", "reason": ""}');
INSERT INTO "audit" VALUES(4,1.79605937959049606318e+09,1,1,'loras','LoRA both','{"standing": "waiting", "reason": ""}','{"standing": "refused", "reason": "no consent"}');
INSERT INTO "audit" VALUES(5,1.79605938661631059642e+09,1,1,'loras','LoRA maria','{"standing": "waiting", "reason": ""}','{"standing": "approved", "reason": ""}');
INSERT INTO "audit" VALUES(6,1.7960593909728236198e+09,3,1,'loras','LoRA pen','{"usual": null}','{"usual": 0.6}');
INSERT INTO "audit" VALUES(7,1.7960593909796621799e+09,3,1,'queue','queue','{"queue": "moving"}','{"queue": "paused"}');
INSERT INTO "audit" VALUES(8,1.79605939104348778724e+09,3,1,'up','job pwm42x',NULL,'{"first": true}');
INSERT INTO "audit" VALUES(9,1.79605939105696225163e+09,3,1,'limits','role 123456789012345678','{}','{"queued": 9}');
INSERT INTO "audit" VALUES(10,1.79605939106424951552e+09,1,1,'limits','person bo','{}','{"seconds": 180000}');
INSERT INTO "audit" VALUES(11,1.79605939107689857483e+09,1,1,'loras','LoRA chalk','{"least": null, "most": null}','{"least": 0.2, "most": 1.0}');
INSERT INTO "audit" VALUES(12,1.79605939108226299281e+09,1,1,'loras','LoRA old','{"standing": "waiting", "reason": ""}','{"standing": "retired", "reason": ""}');
INSERT INTO "audit" VALUES(13,1.79605939120843791957e+09,1,1,'block','person mal','{"blocked": false}','{"blocked": true}');
INSERT INTO "audit" VALUES(14,1.79605940134579682349e+09,1,1,'rules','rules','{"refuse": ["gore", "/nak?ed+/"], "adult": ["nude"], "negative": "blurry", "approve": true, "filtered": "spoiler"}','{"refuse": ["gore", "/nak?ed+/"], "adult": ["nude"], "negative": "blurry", "approve": true, "filtered": "refuse"}');
CREATE TABLE checkpoints (
	job_number INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	sha256 VARCHAR, 
	validation DOUBLE, 
	candidate BOOLEAN NOT NULL, 
	CONSTRAINT pk_checkpoints PRIMARY KEY (job_number, step), 
	CONSTRAINT fk_checkpoints_job_number_jobs FOREIGN KEY(job_number) REFERENCES jobs (number) ON DELETE CASCADE
);
INSERT INTO "checkpoints" VALUES(1,0,NULL,8.26964701409451663494e-01,0);
INSERT INTO "checkpoints" VALUES(1,3,NULL,8.26930454320972785353e-01,0);
INSERT INTO "checkpoints" VALUES(1,6,'b22c79041ad5921423653333cb3ffbfff282c275e8abae3d3dc6594df8c28977',8.27059656381607055664e-01,1);
INSERT INTO "checkpoints" VALUES(1,9,'7507810c5a9eb13b6e3660df3b723e58290b01a5b5025679090441a0d022d779',0.827042088174494,1);
INSERT INTO "checkpoints" VALUES(1,12,'23e46302eda3034aacb9504c8c231b5ccb295023ec98a24fc0eaeec999e1d761',8.26858209969941526651e-01,1);
INSERT INTO "checkpoints" VALUES(18,0,NULL,8.1467773931217379868e-01,0);
INSERT INTO "checkpoints" VALUES(18,4,'b559df3fcc6c104da8fb13e54b738fd0c3c22644d13a9a97936874f632d64b13',8.08560732519254088401e-01,0);
CREATE TABLE comparisons (
	job_number INTEGER NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	scores JSON NOT NULL, 
	CONSTRAINT pk_comparisons PRIMARY KEY (job_number), 
	CONSTRAINT fk_comparisons_job_number_jobs FOREIGN KEY(job_number) REFERENCES jobs (number) ON DELETE CASCADE
);
INSERT INTO "comparisons" VALUES(6,'3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc','{"scores": [["without", 25.9], ["chalk:0.5", 25.9], ["chalk:1", 25.9], ["chalk:1 and the refiner", 25.9]]}');
CREATE TABLE examples (
	job_number INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	CONSTRAINT pk_examples PRIMARY KEY (job_number, place), 
	CONSTRAINT fk_examples_job_number_jobs FOREIGN KEY(job_number) REFERENCES jobs (number) ON DELETE CASCADE
);
INSERT INTO "examples" VALUES(1,0,'99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681');
INSERT INTO "examples" VALUES(1,1,'492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8');
INSERT INTO "examples" VALUES(15,0,'99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681');
INSERT INTO "examples" VALUES(15,1,'492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8');
INSERT INTO "examples" VALUES(15,2,'82ba14bc9912f1ed1318627b09e0476c910f060ed7a87f3a7303a7fd5bf33592');
INSERT INTO "examples" VALUES(15,3,'6e82d6959953a08c3be24adaf4ba75fb4b38d3fcadb5d0c84f70bdbefd7e36aa');
INSERT INTO "examples" VALUES(18,0,'99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681');
INSERT INTO "examples" VALUES(18,1,'492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8');
CREATE TABLE jobs (
	number INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	space_id INTEGER NOT NULL, 
	person_id INTEGER NOT NULL, 
	channel VARCHAR NOT NULL, 
	message VARCHAR, 
	parent VARCHAR, 
	request JSON NOT NULL, 
	state VARCHAR NOT NULL, 
	reason VARCHAR, 
	deaths INTEGER NOT NULL, 
	suspect BOOLEAN NOT NULL, 
	lease_until DOUBLE, 
	step INTEGER NOT NULL, 
	steps INTEGER NOT NULL, 
	charged DOUBLE NOT NULL, 
	created_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	ended_at DOUBLE, 
	deleted_at DOUBLE, 
	revision INTEGER NOT NULL, 
	shown INTEGER NOT NULL, 
	moved INTEGER NOT NULL, kind VARCHAR DEFAULT 'paint' NOT NULL, adult BOOLEAN DEFAULT 0 NOT NULL, private BOOLEAN DEFAULT 0 NOT NULL, expected DOUBLE DEFAULT '0' NOT NULL, counted_at DOUBLE, up DOUBLE, 
	CONSTRAINT pk_jobs PRIMARY KEY (number), 
	CONSTRAINT fk_jobs_person_id_people FOREIGN KEY(person_id) REFERENCES people (id) ON DELETE CASCADE, 
	CONSTRAINT fk_jobs_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE CASCADE, 
	CONSTRAINT uq_jobs_id UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'7x8953',1,2,'home','home/0',NULL,'{"name": "maria", "examples": [{"sha256": "99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681", "name": "0.png", "caption": ""}, {"sha256": "492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8", "name": "1.png", "caption": ""}], "trigger": "ohwx", "subject": "gear", "template": "a {trigger} {subject}, plain", "preset": "object", "wanted": [4, 15], "settings": {"resolution": 32, "feed_forward": false, "convolutions": false, "text_encoder": false, "text_encoder_2": false, "blocks": ["mid"], "rank": 1, "alpha": 64.0, "dropout": 0.0, "dora": false, "optimizer": "adamw", "learning_rate": 0.01, "text_learning_rate": 5e-05, "token_learning_rate": 0.001, "weight_decay": 0.01, "schedule": "cosine", "warmup": 0, "batch": 1, "accumulation": 1, "clipping": 1.0, "steps": 12, "epochs": 0, "precision": "auto", "checkpointing": false, "min_snr_gamma": 50.0, "noise_offset": 0.0, "caption_dropout": 0.05, "flip": true, "random_crop": false, "prior": "none", "prior_weight": 0.3, "prior_pictures": 20, "new_tokens": 0, "pivot": 0.5, "validation": 0.0, "every": 3, "patience": 0, "seed": 5}, "prompts": ["a ohwx gear"], "author": "Ana", "resume": null, "flagged": "spoiler"}','succeeded',NULL,0,0,NULL,0,0,5.69955238898728566709e+00,1.79605938031443619724e+09,1.79605938065688323975e+09,1.79605938656173133851e+09,NULL,12,12,0,'train',0,0,5.86392083983810152858e-01,1.79605938061239194872e+09,NULL);
INSERT INTO "jobs" VALUES(2,'swmjps',1,2,'home','home/1',NULL,'{"prompt": "a red circle, chlk, ohwx gear", "seed": 7, "negative_prompt": "text, blurry", "steps": 8, "guidance_scale": 5.5, "size": {"width": 64, "height": 64}, "sampler": "DPM++ 2M Karras", "count": 2, "adapters": [{"name": "chalk", "sha256": "3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc", "weight": 0.8}, {"name": "maria", "sha256": "b22c79041ad5921423653333cb3ffbfff282c275e8abae3d3dc6594df8c28977", "weight": 0.5}], "refiner": 0.3, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "spoiler"}','succeeded',NULL,0,0,NULL,0,0,5.04320837999330251477e-01,1.7960593866325850487e+09,1.79605938665189838413e+09,1.79605938722567963603e+09,NULL,5,5,0,'paint',0,0,0.131072,1.7960593866325850487e+09,NULL);
INSERT INTO "jobs" VALUES(3,'64y09z',1,4,'home','home/2',NULL,'{"prompt": "a blue square", "seed": 9223372036854775807, "negative_prompt": "blurry", "steps": 1, "guidance_scale": 5.0, "size": {"width": 64, "height": 64}, "sampler": "LCM", "count": 1, "adapters": [{"name": "ink", "sha256": "d024f26d43bdc00a8c6b487182f8d5af6dede83dd4cf2f992228605c00fcd1c5", "weight": 0.4}], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "spoiler"}','succeeded',NULL,0,0,NULL,0,0,0.0576007909985492,1.79605938732299947732e+09,1.79605938734413909906e+09,1.79605938741768836972e+09,NULL,3,3,0,'paint',0,0,3.15200523749581407173e-02,1.79605938732299947732e+09,NULL);
INSERT INTO "jobs" VALUES(4,'q6scfp',1,4,'home','home/3','64y09z','{"prompt": "a blue square", "seed": 9223372036854775807, "negative_prompt": "blurry", "steps": 1, "guidance_scale": 5.0, "size": {"width": 64, "height": 64}, "sampler": "LCM", "count": 4, "adapters": [{"name": "ink", "sha256": "d024f26d43bdc00a8c6b487182f8d5af6dede83dd4cf2f992228605c00fcd1c5", "weight": 0.4}], "refiner": 0.0, "variation": 0.15, "variation_seed": 1350948257, "variants": [], "flagged": "spoiler"}','succeeded',NULL,0,0,NULL,0,0,1.69270254998991731554e-01,1.7960593874605591297e+09,1.79605938747255349159e+09,1.79605938769300913808e+09,NULL,3,3,0,'paint',0,0,1.5737709584814182917e-01,1.7960593874605591297e+09,NULL);
INSERT INTO "jobs" VALUES(5,'61d8v4',1,2,'home','home/4','swmjps','{"prompt": "a red circle, chlk, ohwx gear", "seed": 1384015644, "negative_prompt": "text, blurry", "steps": 8, "guidance_scale": 5.5, "size": {"width": 64, "height": 64}, "sampler": "DPM++ 2M Karras", "count": 2, "adapters": [{"name": "chalk", "sha256": "3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc", "weight": 0.8}, {"name": "maria", "sha256": "b22c79041ad5921423653333cb3ffbfff282c275e8abae3d3dc6594df8c28977", "weight": 0.5}], "refiner": 0.3, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "spoiler"}','succeeded',NULL,0,0,NULL,0,0,6.15902804003781056962e-01,1.79605938773275518411e+09,1.79605938774627327918e+09,1.79605938840918684003e+09,NULL,3,3,0,'paint',0,0,6.43780174373587144032e-01,1.79605938773275518411e+09,NULL);
INSERT INTO "jobs" VALUES(6,'fh8mve',1,2,'home','home/5',NULL,'{"prompt": "a green circle, chlk", "seed": 3, "negative_prompt": "blurry", "steps": 2, "guidance_scale": 5.0, "size": {"width": 64, "height": 64}, "sampler": "Euler", "count": 1, "adapters": [{"name": "chalk", "sha256": "3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc", "weight": 1.0}], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [{"name": "without", "adapters": [], "refiner": 0.0}, {"name": "chalk:0.5", "adapters": [{"name": "chalk", "sha256": "3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc", "weight": 0.5}], "refiner": 0.0}, {"name": "chalk:1", "adapters": [{"name": "chalk", "sha256": "3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc", "weight": 1.0}], "refiner": 0.0}, {"name": "chalk:1 and the refiner", "adapters": [{"name": "chalk", "sha256": "3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc", "weight": 1.0}], "refiner": 0.2}], "flagged": "spoiler"}','succeeded',NULL,0,0,NULL,0,0,3.56115562004561070352e-01,1.79605938844776797293e+09,1.79605938846191883094e+09,1.79605938904691290851e+09,NULL,4,4,0,'paint',0,0,3.17708481631322647853e-01,1.79605938844776797293e+09,NULL);
INSERT INTO "jobs" VALUES(7,'m693y2',1,4,'home','home/6',NULL,'{"prompt": "a tree", "seed": 343178682, "negative_prompt": "blurry", "steps": 2, "guidance_scale": 5.0, "size": {"width": 64, "height": 64}, "sampler": "Euler", "count": 1, "adapters": [{"name": "odd", "sha256": "29e4c9e589f0bb440abd2350d1b620067dbb6c8a69523ba050727962fa2968f3", "weight": 1.0}], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "spoiler"}','failed','LoRA odd changes the module lora_unet_nowhere, which the model here lacks.',0,0,NULL,0,0,0.0,1.796059389094814539e+09,1.79605938910372853276e+09,1.79605938911298775671e+09,NULL,3,3,0,'paint',0,0,8.23076514358235394874e-02,1.796059389094814539e+09,NULL);
INSERT INTO "jobs" VALUES(8,'qhpwyy',1,4,'home','home/7',NULL,'{"prompt": "a nude statue", "seed": 1, "negative_prompt": "blurry", "steps": 2, "guidance_scale": 5.0, "size": {"width": 64, "height": 64}, "sampler": "Euler", "count": 1, "adapters": [], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "show"}','succeeded',NULL,0,0,NULL,0,0,7.50018089984223479405e-02,1.79605938912906074522e+09,1.79605938913488721842e+09,1.79605938922465968132e+09,NULL,3,3,0,'paint',1,0,8.23076514358235394874e-02,1.79605938912906074522e+09,NULL);
INSERT INTO "jobs" VALUES(9,'gmc3sx',2,4,'dm-bo','dm-bo/8',NULL,'{"prompt": "a secret", "seed": 1, "negative_prompt": "", "steps": 2, "guidance_scale": 5.0, "size": {"width": 64, "height": 64}, "sampler": "Euler", "count": 1, "adapters": [], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "refuse"}','succeeded',NULL,0,0,NULL,0,0,4.32372350023797480389e-02,1.79605938926296567915e+09,1.79605938926823544498e+09,1.79605938933944678302e+09,NULL,3,3,0,'paint',0,1,8.01158987046031723089e-02,1.79605938926296567915e+09,NULL);
INSERT INTO "jobs" VALUES(10,'8kfsn7',1,4,'home','home/9',NULL,'{"prompt": "a slow tree", "seed": 3600850710, "negative_prompt": "blurry", "steps": 100, "guidance_scale": 5.0, "size": {"width": 512, "height": 512}, "sampler": "Euler", "count": 4, "adapters": [], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "spoiler"}','cancelled',NULL,0,0,NULL,0,0,0.0,1.79605938938006687161e+09,NULL,1.7960593894599747658e+09,NULL,2,2,0,'paint',0,0,8.83869434802382556923e+02,1.79605938938006687161e+09,NULL);
INSERT INTO "jobs" VALUES(11,'s92z2n',1,4,'home',NULL,NULL,'{}','succeeded',NULL,0,0,NULL,0,0,4.44846969985519535839e-02,1.79605938947476911548e+09,1.79605938948578929903e+09,1.79605938958031058306e+09,1.79605938961987805367e+09,4,4,0,'paint',0,0,6.90522995939361339257e-02,1.79605938947476911548e+09,NULL);
INSERT INTO "jobs" VALUES(12,'t1h3bc',3,3,'away','away/12',NULL,'{"prompt": "a held fox", "seed": 2522567093, "negative_prompt": "", "steps": 2, "guidance_scale": 5.0, "size": {"across": 3, "down": 2}, "sampler": "Euler", "count": 1, "adapters": [{"name": "pen", "sha256": "d741f2ea8b7d456f799dd1638a8e0c7f49f04340483f9911e25a9b1f4ef8143c", "weight": 0.6}], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "refuse"}','queued',NULL,0,0,NULL,0,0,0.0,1.79605939100269722938e+09,NULL,NULL,NULL,1,1,0,'paint',0,0,2.86410319884818131974e-01,1.79605939100269722938e+09,NULL);
INSERT INTO "jobs" VALUES(13,'pwm42x',3,3,'away','away/13',NULL,'{"prompt": "another fox", "seed": 3944409052, "negative_prompt": "", "steps": 2, "guidance_scale": 5.0, "size": {"width": 64, "height": 64}, "sampler": "Euler", "count": 1, "adapters": [{"name": "pen", "sha256": "d741f2ea8b7d456f799dd1638a8e0c7f49f04340483f9911e25a9b1f4ef8143c", "weight": 0.6}], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "refuse"}','queued',NULL,0,0,NULL,0,0,0.0,1.79605939103469061852e+09,NULL,NULL,NULL,2,2,0,'paint',0,0,7.16025799712045329936e-02,1.79605939103469061852e+09,1.79605939104348778724e+09);
INSERT INTO "jobs" VALUES(14,'ekcfnk',1,5,'home','home/14',NULL,'{"prompt": "a weed", "seed": 2560245955, "negative_prompt": "blurry", "steps": 2, "guidance_scale": 5.0, "size": {"width": 64, "height": 64}, "sampler": "Euler", "count": 1, "adapters": [], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "spoiler"}','succeeded',NULL,0,0,NULL,0,0,6.36850929986394476145e-02,1.79605939108584260937e+09,1.79605939109402513499e+09,1.79605939116993141169e+09,NULL,3,3,0,'paint',0,0,7.16025799712045329936e-02,1.79605939108584260937e+09,NULL);
INSERT INTO "jobs" VALUES(15,'nw8kk9',1,4,'home','home/15',NULL,'{"name": "eve", "examples": [{"sha256": "99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681", "name": "0.png", "caption": ""}, {"sha256": "492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8", "name": "1.png", "caption": ""}, {"sha256": "82ba14bc9912f1ed1318627b09e0476c910f060ed7a87f3a7303a7fd5bf33592", "name": "tiny.png", "caption": ""}, {"sha256": "6e82d6959953a08c3be24adaf4ba75fb4b38d3fcadb5d0c84f70bdbefd7e36aa", "name": "flat.png", "caption": ""}], "trigger": "qvk", "subject": "gear", "template": "a {trigger} {subject}", "preset": "object", "wanted": [4, 15], "settings": {"resolution": 32, "feed_forward": false, "convolutions": false, "text_encoder": false, "text_encoder_2": false, "blocks": ["mid"], "rank": 1, "alpha": 64.0, "dropout": 0.0, "dora": false, "optimizer": "adamw", "learning_rate": 0.01, "text_learning_rate": 5e-05, "token_learning_rate": 0.001, "weight_decay": 0.01, "schedule": "cosine", "warmup": 0, "batch": 1, "accumulation": 1, "clipping": 1.0, "steps": 12, "epochs": 0, "precision": "auto", "checkpointing": false, "min_snr_gamma": 50.0, "noise_offset": 0.0, "caption_dropout": 0.05, "flip": true, "random_crop": false, "prior": "none", "prior_weight": 0.3, "prior_pictures": 20, "new_tokens": 0, "pivot": 0.5, "validation": 0.0, "every": 3, "patience": 0, "seed": 5}, "prompts": ["a qvk gear on a white background", "a red qvk gear above a blue circle on a yellow background", "a gear on a white background"], "author": "Bo", "resume": null, "flagged": "spoiler"}','draft',NULL,0,0,NULL,0,0,0.0,1.79605939123033142091e+09,NULL,NULL,NULL,2,2,0,'train',0,0,0.0,NULL,NULL);
INSERT INTO "jobs" VALUES(16,'0dvmpz',1,2,'home','home/16',NULL,'{"prompt": "a red star", "seed": 2, "negative_prompt": "hat, blurry", "steps": 2, "guidance_scale": 4.0, "size": {"width": 64, "height": 64}, "sampler": "Euler a", "count": 1, "adapters": [], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "spoiler", "hidden": [1]}','succeeded','filtered: the safety check hides it until you open it',0,0,NULL,0,0,1.81564041000456199981e-01,1.79605939176352930063e+09,1.79605940103589892383e+09,1.79605940130344772336e+09,NULL,3,3,0,'paint',0,0,0.016384,1.79605939176352930063e+09,NULL);
INSERT INTO "jobs" VALUES(17,'dxderb',1,2,'home','home/17',NULL,'{"prompt": "a red star", "seed": 3, "negative_prompt": "hat, blurry", "steps": 2, "guidance_scale": 4.0, "size": {"width": 64, "height": 64}, "sampler": "Euler a", "count": 1, "adapters": [], "refiner": 0.0, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "refuse"}','succeeded','filtered: the safety check holds it back',0,0,NULL,0,0,1.9072901399886177387e-01,1.79605940134952092165e+09,1.79605940138119554521e+09,1.79605940163935637473e+09,NULL,3,3,0,'paint',0,0,1.81564041000456199981e-01,1.79605940134952092165e+09,NULL);
INSERT INTO "jobs" VALUES(18,'t1pykb',1,3,'home','home/18',NULL,'{"name": "tom", "examples": [{"sha256": "99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681", "name": "0.png", "caption": ""}, {"sha256": "492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8", "name": "1.png", "caption": ""}], "trigger": "zwx", "subject": "gear", "template": "a {trigger} {subject}, plain", "preset": "object", "wanted": [4, 15], "settings": {"resolution": 32, "feed_forward": false, "convolutions": false, "text_encoder": false, "text_encoder_2": false, "blocks": ["mid"], "rank": 1, "alpha": 64.0, "dropout": 0.1, "dora": false, "optimizer": "adamw", "learning_rate": 0.005, "text_learning_rate": 4e-05, "token_learning_rate": 0.002, "weight_decay": 0.02, "schedule": "linear", "warmup": 2, "batch": 1, "accumulation": 2, "clipping": 0.9, "steps": 60, "epochs": 0, "precision": "auto", "checkpointing": false, "min_snr_gamma": 4.0, "noise_offset": 0.05, "caption_dropout": 0.1, "flip": false, "random_crop": true, "prior": "prediction", "prior_weight": 0.5, "prior_pictures": 20, "new_tokens": 1, "pivot": 0.9, "validation": 0.0, "every": 4, "patience": 0, "seed": 5}, "prompts": ["a zwx gear"], "author": "Cy", "resume": null, "flagged": "refuse"}','queued',NULL,0,0,NULL,0,0,0.0,1.79605940249611496922e+09,NULL,NULL,NULL,7,7,0,'train',0,0,5.22870851971674710512e+00,1.7960594109399702549e+09,NULL);
INSERT INTO "jobs" VALUES(19,'043yjk',1,2,'home','home/19',NULL,'{"prompt": "a red square, chlk, ohwx gear", "seed": 11, "negative_prompt": "hat, blurry", "steps": 3, "guidance_scale": 3.0, "size": {"width": 64, "height": 64}, "sampler": "UniPC", "count": 1, "adapters": [{"name": "chalk", "sha256": "3d78c991bbec8e358d7981651d13bac3e969d8493fa5b2928a990de722afc1cc", "weight": 0.5}, {"name": "maria", "sha256": "b22c79041ad5921423653333cb3ffbfff282c275e8abae3d3dc6594df8c28977", "weight": 0.7}], "refiner": 0.4, "variation": 0.0, "variation_seed": 0, "variants": [], "flagged": "refuse"}','queued',NULL,0,0,NULL,0,0,0.0,1.79605941801021981238e+09,NULL,NULL,NULL,1,1,0,'paint',0,0,0.024576,1.79605941801021981238e+09,NULL);
CREATE TABLE keeping (
	space_id INTEGER NOT NULL, 
	rules JSON NOT NULL, 
	limits JSON NOT NULL, 
	queue VARCHAR NOT NULL, 
	CONSTRAINT pk_keeping PRIMARY KEY (space_id), 
	CONSTRAINT fk_keeping_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE CASCADE
);
INSERT INTO "keeping" VALUES(1,'{"refuse": ["gore", "/nak?ed+/"], "adult": ["nude"], "negative": "blurry", "approve": true, "filtered": "refuse"}','{"seconds": 500000, "trainings": 9, "queued": 8, "pictures": 400, "total": 900000, "megabytes": 90}','');
INSERT INTO "keeping" VALUES(3,'{}','{"roles": {"123456789012345678": {"queued": 9}}}','paused');
CREATE TABLE people (
	id INTEGER NOT NULL, 
	chat VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	settings JSON NOT NULL, 
	used DOUBLE NOT NULL, 
	queued INTEGER NOT NULL, 
	CONSTRAINT pk_people PRIMARY KEY (id), 
	CONSTRAINT uq_people_chat_key UNIQUE (chat, "key")
);
INSERT INTO "people" VALUES(1,'discord','root','Root','{}',0.0,0);
INSERT INTO "people" VALUES(2,'discord','ana','Ana','{"no": "hat", "steps": "12", "cfg": "4", "size": "3:2", "sampler": "Euler a"}',4.98908301422584569062e+05,1);
INSERT INTO "people" VALUES(3,'discord','cy','Cy','{}',0.0,2);
INSERT INTO "people" VALUES(4,'discord','bo','Bo','{}',4.98904025656871323015e+05,0);
INSERT INTO "people" VALUES(5,'discord','mal','Mal','{}',4.98901413511910941456e+05,0);
CREATE TABLE pictures (
	id INTEGER NOT NULL, 
	job_number INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	seed BIGINT NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	CONSTRAINT pk_pictures PRIMARY KEY (id), 
	CONSTRAINT fk_pictures_job_number_jobs FOREIGN KEY(job_number) REFERENCES jobs (number) ON DELETE CASCADE, 
	CONSTRAINT uq_pictures_job_number_place UNIQUE (job_number, place)
);
INSERT INTO "pictures" VALUES(1,2,1,'ec4fc7d13bdc86b8b7a121843767d680ffcbb52934d030b9a88a9246bb25626d',7,64,64);
INSERT INTO "pictures" VALUES(2,2,2,'e75993d61be532b44d6ddb116b6666501884ad903fd1c32b26772ba2bf220dff',8,64,64);
INSERT INTO "pictures" VALUES(3,3,1,'e5d88a86e6859a288249fc5f4664d8d4b6aff30519fe62755c98a5885f483fc1',9223372036854775807,64,64);
INSERT INTO "pictures" VALUES(4,4,1,'e093cca923aa94402a27497d6875f9f7009d422aeba5ffb305808b43d86242fa',9223372036854775807,64,64);
INSERT INTO "pictures" VALUES(5,4,2,'3a213483d26df6b64e8cfbafdeed321894757048c1ff80fee657bdb7c28f9be2',9223372036854775807,64,64);
INSERT INTO "pictures" VALUES(6,4,3,'2e47bc33dc50b5c46545ba931104e64fe1b698a09aad64fee50dbafcd9acc056',9223372036854775807,64,64);
INSERT INTO "pictures" VALUES(7,4,4,'f37aca0bfe4071338516792f873e49721d100fbe3816b22251c928c03b9964d9',9223372036854775807,64,64);
INSERT INTO "pictures" VALUES(8,5,1,'a56754f66a34c1bd2bb1a84beac2839f5924e76768c8523a911e907ffec3c43f',1384015644,64,64);
INSERT INTO "pictures" VALUES(9,5,2,'1d54f011ee7f4c8cd11cf50da4387acad1139853e5c7bc246fc96861c8707a70',1384015645,64,64);
INSERT INTO "pictures" VALUES(10,6,1,'48202aca568b46b22e991ef29f3bdd35cbd9c8bb79e87aa5eaeb2bc694b88786',3,812,934);
INSERT INTO "pictures" VALUES(11,8,1,'6ca8289132bed5f86dc504542d7f46dfdf18482a1db8a1ffdef1898308583b8a',1,64,64);
INSERT INTO "pictures" VALUES(12,9,1,'45bffacee5172198688bc3b985ce0103448c35a95b0957a488583cd6379ab7dd',1,64,64);
INSERT INTO "pictures" VALUES(13,14,1,'30971e0fe4e0f2ddb5a893912608b39f5f799c590a47896ee8b8bdb04e5bbb08',2560245955,64,64);
INSERT INTO "pictures" VALUES(14,16,1,'14fde3ee4691fe83dea0fe0010dfa3c6534bf286548158049eda9fa9c87ec5da',2,64,64);
CREATE TABLE refusals (
	id INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	space_id INTEGER NOT NULL, 
	person_id INTEGER, 
	why VARCHAR NOT NULL, 
	CONSTRAINT pk_refusals PRIMARY KEY (id), 
	CONSTRAINT fk_refusals_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE CASCADE, 
	CONSTRAINT fk_refusals_person_id_people FOREIGN KEY(person_id) REFERENCES people (id) ON DELETE SET NULL
);
INSERT INTO "refusals" VALUES(1,1.79605939120584678653e+09,1,5,'rule: gore');
INSERT INTO "refusals" VALUES(2,1.79605939121422767635e+09,1,5,'blocked');
INSERT INTO "refusals" VALUES(3,1.79605940130577850346e+09,1,2,'safety check');
INSERT INTO "refusals" VALUES(4,1.79605940164091587062e+09,1,2,'safety check');
CREATE TABLE samples (
	job_number INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	CONSTRAINT pk_samples PRIMARY KEY (job_number, step, place), 
	CONSTRAINT fk_samples_job_number_jobs FOREIGN KEY(job_number) REFERENCES jobs (number) ON DELETE CASCADE
);
INSERT INTO "samples" VALUES(1,0,1,'ac7daf3bd059cbc287f5b6b77f3bfdbe83c22db9609df973eed3d7b2a7585e24');
INSERT INTO "samples" VALUES(1,6,1,'f7dd2282b202f75cb50093ef0e0f14b96301d12e81d85f8623e042327aef26cd');
INSERT INTO "samples" VALUES(1,9,1,'62e4a61196c4e3d295254ead3c70ec87400f4c4b1d68c918f352a4312c2fa772');
INSERT INTO "samples" VALUES(1,12,1,'ee35340cb449b4a178c537e4f0f22b12df01d7448359468b0ec5df8553e04c81');
INSERT INTO "samples" VALUES(18,0,1,'912b42d8e52a50fb80ca5736ce5fc890a7fb3ee0236b4d091518bc40eb9484fd');
INSERT INTO "samples" VALUES(18,4,1,'81b0c734dba261efa64292adc1ba94223214b9ba66d9fe614e2b9140dfa796ee');
CREATE TABLE spaces (
	id INTEGER NOT NULL, 
	chat VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, joined BOOLEAN DEFAULT 0 NOT NULL, away_at DOUBLE, 
	CONSTRAINT pk_spaces PRIMARY KEY (id), 
	CONSTRAINT uq_spaces_chat_key UNIQUE (chat, "key")
);
INSERT INTO "spaces" VALUES(1,'discord','home','Home',0,NULL);
INSERT INTO "spaces" VALUES(2,'discord','dm-bo','Dm-Bo',0,NULL);
INSERT INTO "spaces" VALUES(3,'discord','away','Away',0,NULL);
CREATE TABLE standings (
	space_id INTEGER NOT NULL, 
	"key" VARCHAR NOT NULL, 
	blocked_at DOUBLE, 
	limits JSON NOT NULL, 
	day DOUBLE NOT NULL, 
	seconds DOUBLE NOT NULL, 
	trainings INTEGER NOT NULL, 
	CONSTRAINT pk_standings PRIMARY KEY (space_id, "key"), 
	CONSTRAINT fk_standings_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id) ON DELETE CASCADE
);
INSERT INTO "standings" VALUES(1,'ana',NULL,'{}',1795996800.0,1.8366019649984082207e+00,0);
INSERT INTO "standings" VALUES(1,'cy',NULL,'{}',1795996800.0,6.01450474998273421078e-01,0);
INSERT INTO "standings" VALUES(1,'dora',NULL,'{}',1795996800.0,9.47505560015997616574e-02,0);
INSERT INTO "standings" VALUES(3,'cy',NULL,'{}',1795996800.0,0.739786832999016,0);
INSERT INTO "standings" VALUES(1,'bo',NULL,'{"seconds": 180000}',0.0,0.0,0);
INSERT INTO "standings" VALUES(1,'mal',1.79605939120843791957e+09,'{}',0.0,0.0,0);
CREATE TABLE trainings (
	job_number INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	"trigger" VARCHAR NOT NULL, 
	report JSON, 
	sheet VARCHAR, 
	curve JSON NOT NULL, 
	state_sha256 VARCHAR, 
	best INTEGER, 
	chosen INTEGER, 
	note VARCHAR NOT NULL, 
	adapter_id INTEGER, 
	consent_at DOUBLE NOT NULL, finishing BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_trainings PRIMARY KEY (job_number), 
	CONSTRAINT fk_trainings_adapter_id_adapters FOREIGN KEY(adapter_id) REFERENCES adapters (id) ON DELETE SET NULL, 
	CONSTRAINT fk_trainings_job_number_jobs FOREIGN KEY(job_number) REFERENCES jobs (number) ON DELETE CASCADE
);
INSERT INTO "trainings" VALUES(1,'maria','ohwx','{"notes": [{"name": "0.png", "width": 64, "height": 64, "crop": [0, 0, 64, 64], "size": [32, 32], "problems": [], "used": true}, {"name": "1.png", "width": 64, "height": 64, "crop": [0, 0, 64, 64], "size": [32, 32], "problems": [], "used": true}], "problems": ["2 pictures can be used, but 4 to 15 work best for this preset."], "steps": 12, "seconds": 0.5863920839838102}','4060adba02a04889d519e6f66524380db3d3c2bc0f6b37d1a30c000105ea9cd3','[3.1213557720184326, 0.11478393524885178, 2.562370777130127, 0.3009805977344513, 1.0713192224502563, 1.8610249757766724, 0.13207919895648956, 2.8371193408966064, 0.0017838457133620977, 2.9890928268432617, 0.13768568634986877, 3.7360308170318604]',NULL,12,6,'',4,1.79605938031443619724e+09,0);
INSERT INTO "trainings" VALUES(15,'eve','qvk','{"notes": [{"name": "0.png", "width": 64, "height": 64, "crop": [0, 0, 64, 64], "size": [32, 32], "problems": [], "used": true}, {"name": "1.png", "width": 64, "height": 64, "crop": [0, 0, 64, 64], "size": [32, 32], "problems": [], "used": true}, {"name": "tiny.png", "width": 32, "height": 32, "crop": [0, 0, 32, 32], "size": [32, 32], "problems": [], "used": true}, {"name": "flat.png", "width": 64, "height": 64, "crop": [0, 0, 64, 64], "size": [32, 32], "problems": ["it shows hardly more than one colour."], "used": true}], "problems": [], "steps": 12, "seconds": 0.34461560199270025}','6355b3fd4268abf49373d6c7ebbf212fb2db69809aeb7e8df854eafde710bf5d','[]',NULL,NULL,NULL,'',NULL,1.79605939123033142091e+09,0);
INSERT INTO "trainings" VALUES(18,'tom','zwx','{"notes": [{"name": "0.png", "width": 64, "height": 64, "crop": [0, 0, 64, 64], "size": [32, 32], "problems": [], "used": true}, {"name": "1.png", "width": 64, "height": 64, "crop": [0, 0, 64, 64], "size": [32, 32], "problems": [], "used": true}], "problems": ["2 pictures can be used, but 4 to 15 work best for this preset."], "steps": 60, "seconds": 5.228708519716747}','4060adba02a04889d519e6f66524380db3d3c2bc0f6b37d1a30c000105ea9cd3','[1.1800843477249146, 0.0872514471411705, 0.06733112037181854, 0.08137230575084686]','a0c3cde7be35263d51651aa1c4d45f7d142b490aa38a96851bee0a009a0ddb4b',NULL,NULL,'',NULL,1.79605940249611496922e+09,0);
CREATE TABLE uploads (
	id INTEGER NOT NULL, 
	person_id INTEGER NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	at DOUBLE NOT NULL, space_id INTEGER, 
	CONSTRAINT pk_uploads PRIMARY KEY (id), 
	CONSTRAINT fk_uploads_person_id_people FOREIGN KEY(person_id) REFERENCES people (id) ON DELETE CASCADE, 
	CONSTRAINT uq_uploads_person_id_sha256 UNIQUE (person_id, sha256)
);
INSERT INTO "uploads" VALUES(1,2,'d9c22846c88d9cd0ca776583dfbd8e1fde805393be082a0ab1ef742cd384d1d6',1.7960593674258701801e+09,1);
INSERT INTO "uploads" VALUES(2,3,'d024f26d43bdc00a8c6b487182f8d5af6dede83dd4cf2f992228605c00fcd1c5',1.79605939013150763513e+09,3);
INSERT INTO "uploads" VALUES(3,2,'99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681',1.79605938026777505875e+09,1);
INSERT INTO "uploads" VALUES(4,2,'492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8',1.79605938029481697077e+09,1);
INSERT INTO "uploads" VALUES(5,4,'99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681',1.79605939121742177013e+09,1);
INSERT INTO "uploads" VALUES(6,4,'492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8',1.79605939121951794622e+09,1);
INSERT INTO "uploads" VALUES(7,4,'82ba14bc9912f1ed1318627b09e0476c910f060ed7a87f3a7303a7fd5bf33592',1.79605939122221302988e+09,1);
INSERT INTO "uploads" VALUES(8,4,'6e82d6959953a08c3be24adaf4ba75fb4b38d3fcadb5d0c84f70bdbefd7e36aa',1.79605939122522711755e+09,1);
INSERT INTO "uploads" VALUES(9,3,'99e1b166b3607d1ff30ebf121d1ba7f18589347ab98b5a16f7ce7a2e6a4d1681',1.79605940240913224221e+09,1);
INSERT INTO "uploads" VALUES(10,3,'492ae7c634bd8c106fc7115d0f43f158c3df88945e27ef8e094f778cada5cdb8',1.79605940242635393139e+09,1);
CREATE TABLE votes (
	picture_id INTEGER NOT NULL, 
	person_id INTEGER NOT NULL, 
	emoji VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_votes PRIMARY KEY (picture_id, person_id, emoji), 
	CONSTRAINT fk_votes_person_id_people FOREIGN KEY(person_id) REFERENCES people (id) ON DELETE CASCADE, 
	CONSTRAINT fk_votes_picture_id_pictures FOREIGN KEY(picture_id) REFERENCES pictures (id) ON DELETE CASCADE
);
INSERT INTO "votes" VALUES(1,2,'⭐',1.7960593896364336014e+09);
INSERT INTO "votes" VALUES(1,4,'⭐',1.7960593896654288769e+09);
INSERT INTO "votes" VALUES(10,4,'⭐',1.79605938967601871493e+09);
CREATE INDEX ix_people_next ON people (used, id) WHERE queued > 0;
CREATE INDEX ix_jobs_person ON jobs (person_id, number);
CREATE INDEX ix_jobs_running ON jobs (person_id, number) WHERE state = 'running';
CREATE INDEX ix_jobs_space ON jobs (space_id, channel, number);
CREATE INDEX ix_jobs_unshown ON jobs (number) WHERE shown < revision;
CREATE INDEX ix_pictures_sha256 ON pictures (sha256);
CREATE INDEX ix_votes_person ON votes (person_id, picture_id);
CREATE INDEX ix_jobs_queued ON jobs (person_id, kind, number) WHERE state = 'queued';
CREATE INDEX ix_jobs_trainings ON jobs (person_id, number) WHERE kind = 'train';
CREATE INDEX ix_adapters_sha256 ON adapters (sha256);
CREATE INDEX ix_adapters_thumbnail ON adapters (thumbnail);
CREATE UNIQUE INDEX ix_adapters_living ON adapters (space_id, name) WHERE deleted_at IS NULL;
CREATE INDEX ix_trainings_sheet ON trainings (sheet);
CREATE INDEX ix_trainings_state ON trainings (state_sha256);
CREATE INDEX ix_examples_sha256 ON examples (sha256);
CREATE INDEX ix_checkpoints_sha256 ON checkpoints (sha256);
CREATE INDEX ix_samples_sha256 ON samples (sha256);
CREATE INDEX ix_uploads_sha256 ON uploads (sha256);
CREATE INDEX ix_jobs_message ON jobs (message);
CREATE INDEX ix_jobs_counted ON jobs (space_id, counted_at);
CREATE INDEX ix_jobs_up ON jobs (space_id, up) WHERE up IS NOT NULL;
CREATE INDEX ix_refusals_space ON refusals (space_id, at);
CREATE INDEX ix_audit_space ON audit (space_id, id);
CREATE INDEX ix_adapters_sheet ON adapters (sheet);
CREATE INDEX ix_comparisons_sha256 ON comparisons (sha256);
COMMIT;
